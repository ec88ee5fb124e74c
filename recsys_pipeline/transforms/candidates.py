"""What negatives may be drawn from, day by day: candidates and their counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.kernels.columns import TOTAL
from recsys_pipeline.transforms.catalogue import distinct_versions
from recsys_pipeline.transforms.entities import arrow_strings, distinct_codes, sorted_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.stable_hash import Words

_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class KnownItems:
    """All items that a tenant has events or a catalogue entry of; an item's code is its rank.

    Attributes:
        ids: The ids, ascending.
        hashes: Their stable hashes.
        of_pass: Code of each item of the pass.
        of_state: Code of each item of the state.
        versions: Columns of `Item` and `item` (code), one row per day and item, sorted by them.
    """

    ids: pl.Series
    hashes: Words
    of_pass: Ints
    of_state: Ints
    versions: pl.DataFrame

    @classmethod
    def of(cls, events: EventPass, item_versions: pl.DataFrame) -> KnownItems:
        """Gather the items of events and catalogue.

        Args:
            events: The tenant's events, on the state of the days before.
            item_versions: Valid item versions of the tenant (columns of `Item`).
        """
        versions = distinct_versions(item_versions)
        every = [events.items.strings, events.state.items.ids, arrow_strings(versions["item_id"])]
        strings, hashes, codes = sorted_codes(pa.concat_arrays(every))
        of_pass, of_state, listed = np.split(codes, np.cumsum([len(part) for part in every[:-1]]))
        return cls(
            pl.Series(strings, dtype=pl.String),
            hashes,
            of_pass,
            of_state,
            versions.with_columns(pl.Series("item", listed)).sort("date", "item"),
        )


class ItemState:
    """The items as of a day, for days that never go back.

    An item is a candidate on day D when the newest of its versions up to the end of D is
    available, or when it has an event up to the end of D.

    Attributes:
        counts: Events of each item before the day, by item code.
        categories: Category of each item by its newest version up to the end of the day, as a
            dense code of no meaning; -1 without a version. Only kept if asked for.

    Args:
        events: The tenant's events, on the state of the days before.
        items: All items of the tenant.
        with_categories: Whether `categories` are asked for.
    """

    def __init__(
        self, events: EventPass, items: KnownItems, *, with_categories: bool = False
    ) -> None:
        size = len(items.ids)
        self._categories: Ints | None = None
        self.categories: Ints = np.full(size if with_categories else 0, -1, np.int64)
        if with_categories:
            codes = distinct_codes(arrow_strings(items.versions["category"]))[1]
            self._categories = codes.astype(np.int64)
        self.counts: Ints = np.zeros(size, dtype=np.int64)
        self.counts[items.of_state] = events.state.items.totals[:, TOTAL]
        self._available = np.zeros(size, dtype=np.bool_)
        self._seen = np.zeros(size, dtype=np.bool_)
        self._seen[items.of_state] = True
        self._events, self._of_pass = events, items.of_pass
        self._versions = (
            items.versions["date"].to_physical().cast(pl.Int64).to_numpy(),
            items.versions["item"].to_numpy(),
            items.versions["available"].to_numpy(),
        )
        self._counted = self._met = self._listed = 0

    def candidates(self, day: int) -> npt.NDArray[np.bool_]:
        """Move to a day (days since 1970-01-01) and tell for each item code if it may be drawn."""
        days = self._events.days_in_order
        before = int(np.searchsorted(days, day, side="left"))
        for items in self._items(self._counted, before):
            self.counts += np.bincount(items, minlength=len(self.counts))
        self._counted = before
        up_to = int(np.searchsorted(days, day, side="right"))
        for items in self._items(self._met, up_to):
            self._seen[items] = True
        self._met = up_to
        days, items, available = self._versions
        up_to = int(np.searchsorted(days, day, side="right"))
        # of several versions of an item the last assignment stands, and they are in day order
        new = slice(self._listed, up_to)
        self._available[items[new]] = available[new]
        if self._categories is not None:
            self.categories[items[new]] = self._categories[new]
        self._listed = up_to
        return self._available | self._seen

    def _items(self, begin: int, end: int) -> Iterator[Ints]:
        """Yield the item codes of the events from one place in the order of days to another."""
        order = self._events.by_day
        for at in range(begin, end, _AT_ONCE):
            rows = slice(at, min(at + _AT_ONCE, end))
            codes = self._events.items.codes
            yield self._of_pass[codes[order[rows]] if len(order) else codes[rows]]
