"""What negatives may be drawn from, day by day: candidates, their counts, and exclusions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.transforms.arrays import Ints, spans
from recsys_pipeline.transforms.catalogue import ordered_versions
from recsys_pipeline.transforms.coding import with_code

if TYPE_CHECKING:
    import numpy.typing as npt

_DAY = pl.col("date").to_physical().cast(pl.Int64).alias("day")


def _columns(frame: pl.LazyFrame) -> tuple[Ints, ...]:
    return tuple(column.cast(pl.Int64).to_numpy() for column in frame.collect().iter_columns())


class ItemState:
    """The items as of a day, for days that never go back.

    An item is a candidate on day D when the newest of its versions up to the end of D is
    available, or when it has an event up to the end of D.

    Attributes:
        counts: Events of each item before the day, by item code.
    """

    def __init__(
        self, events: pl.LazyFrame, item_versions: pl.LazyFrame, items: pl.DataFrame
    ) -> None:
        self.counts: Ints = np.zeros(items.height, dtype=np.int64)
        self._available = np.zeros(items.height, dtype=np.bool_)
        self._seen = np.zeros(items.height, dtype=np.bool_)
        daily = events.group_by("tenant", "item_id", "date").agg(pl.len().alias("events"))
        self._events = _columns(
            with_code(daily, items, "item_id", "item").select(_DAY, "item", "events").sort("day")
        )
        versions = ordered_versions(item_versions).unique(
            ["tenant", "item_id", "date"], keep="last", maintain_order=True
        )
        self._versions = _columns(
            with_code(versions, items, "item_id", "item")
            .select(_DAY, "item", "available")
            .sort("day", "item")
        )
        self._counted = self._met = self._listed = 0
        self._day = -1
        self._candidates = self._seen

    def candidates(self, day: int) -> npt.NDArray[np.bool_]:
        """Move to a day (days since 1970-01-01) and tell for each item code if it may be drawn."""
        if day == self._day:
            return self._candidates
        self._day = day
        days, items, numbers = self._events
        before = int(np.searchsorted(days, day, side="left"))
        np.add.at(self.counts, items[self._counted : before], numbers[self._counted : before])
        self._counted = before
        up_to = int(np.searchsorted(days, day, side="right"))
        self._seen[items[self._met : up_to]] = True
        self._met = up_to
        days, items, available = self._versions
        up_to = int(np.searchsorted(days, day, side="right"))
        # of several versions of an item the last assignment stands, and they are in day order
        self._available[items[self._listed : up_to]] = available[self._listed : up_to] != 0
        self._listed = up_to
        self._candidates = self._available | self._seen
        return self._candidates


@dataclass(frozen=True)
class History:
    """The distinct items of each user with the day on which they first met.

    Attributes:
        offsets: The pairs of user code u are those from offsets[u] to offsets[u + 1].
        items: Item code of each pair, ascending within the user.
        first_days: Days since 1970-01-01 of the pair's first event.
    """

    offsets: Ints
    items: Ints
    first_days: Ints

    @classmethod
    def of(cls, events: pl.LazyFrame, users: pl.DataFrame, items: pl.DataFrame) -> History:
        """Build the history of the users in a vocabulary."""
        used = events.select("tenant", "user_id", "item_id", "date")
        own = with_code(used, users, "user_id", "user")
        pairs = (
            with_code(own, items, "item_id", "item")
            .group_by("user", "item")
            .agg(pl.col("date").min())
            .sort("user", "item")
            .select("user", "item", _DAY)
        )
        user, item, day = _columns(pairs)
        return cls(np.searchsorted(user, np.arange(users.height + 1)), item, day)

    def up_to(self, users: Ints, day: int) -> tuple[Ints, Ints]:
        """Return (position in `users`, item code) of the pairs met up to the end of the day.

        Args:
            users: Distinct user codes.
            day: Days since 1970-01-01.
        """
        starts = self.offsets[users]
        lengths = self.offsets[users + 1] - starts
        index = spans(starts, lengths)
        owner = np.repeat(np.arange(len(users)), lengths)
        met = self.first_days[index] <= day
        return owner[met], self.items[index[met]]
