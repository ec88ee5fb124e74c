"""The events before the rows of a release, day by day, as far as sequences need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.engines.view import VALIDATED
from recsys_pipeline.transforms.sequences import EVENT, Sequences

if TYPE_CHECKING:
    from datetime import date

    import polars as pl

    from recsys_pipeline.engines.view import View


class History:
    """Goes through a tenant's events along with the days of a release.

    Args:
        view: The published tables.
        tenant: The tenant.
        last: Last day of the release.
        length: Events of a sequence at most.
    """

    def __init__(self, view: View, tenant: str, last: date, length: int) -> None:
        self.sequences = Sequences(length)
        self._view = view
        seen = view.effective("interactions", last)
        self._left = sorted(p for p in seen if p[1] == tenant and seen[p].has_rows)
        self._read = list(self._left)
        self._day: date | None = None

    def add(self, day: date, rows: pl.DataFrame) -> pl.DataFrame:
        """Return samples of a day with what was before them; days come in order, in any pieces."""
        if day != self._day:
            self._open(day)
            self._day = day
        items, types = self.sequences.before(rows)
        return rows.with_columns(items.alias("sequence_items"), types.alias("sequence_types"))

    def confirm(self) -> None:
        """Check that what was read is still what is published.

        Raises:
            StaleInputError: Another run has published a day meanwhile.
        """
        published = self._view.published("interactions", self._read)
        self._view.confirm(VALIDATED["interactions"], published)

    def _open(self, day: date) -> None:
        before = [p for p in self._left if p[0] < day]
        today = [p for p in self._left if p[0] == day]
        self._left = [p for p in self._left if p[0] > day]
        for group in (*self._view.groups("interactions", before), today):
            events = self._view.valid("interactions", group).select(EVENT).collect()
            self.sequences.open(events)
