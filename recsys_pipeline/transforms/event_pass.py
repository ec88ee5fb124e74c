"""One pass over a tenant's events of some days, on the state of the day before them.

From the same pass come the features of users and items, what samples need to know of the time
before, and the state after the last day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.kernels.columns import TOTAL, WIDTH
from recsys_pipeline.schemas.features import RECENT_ITEMS
from recsys_pipeline.transforms.entities import arrow_strings, sorted_codes
from recsys_pipeline.transforms.features_common import COUNTS
from recsys_pipeline.transforms.threads import two_at_a_time

if TYPE_CHECKING:
    from collections.abc import Collection

    from recsys_pipeline.transforms.arrays import Flags, Ints, Lists
    from recsys_pipeline.transforms.stable_hash import Words
    from recsys_pipeline.transforms.state import State

EPOCH = date(1970, 1, 1)
Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")


@dataclass(frozen=True)
class Coded:
    """The distinct ids of a column: a code is an id's place in the sorted order.

    Attributes:
        ids: The ids, ascending.
        strings: The same in Arrow's large layout.
        hashes: Their stable hashes.
        codes: The code of each row.
    """

    ids: pl.Series
    strings: pa.LargeStringArray
    hashes: Words
    codes: Ints

    @classmethod
    def of(cls, column: pl.Series) -> Coded:
        """Code a String series without nulls."""
        strings, hashes, codes = sorted_codes(arrow_strings(column))
        return cls(pl.Series(strings, dtype=pl.String), strings, hashes, codes)


@dataclass(frozen=True)
class Members:
    """The users of a pass that belong to one bucket of the state.

    Attributes:
        bucket: The bucket's number.
        users: Their codes in the pass, ascending.
        known: Their codes in the bucket, -1 of those that are new.
    """

    bucket: int
    users: Ints
    known: Ints


@dataclass(frozen=True)
class Totals:
    """Totals of entities after days on which they had events.

    Attributes:
        entity: Code in the pass, by day, then entity.
        day: Days since 1970-01-01.
        rows: `WIDTH` numbers each, see `kernels.columns`.
        last: The totals of every entity of the pass after its last event.
    """

    entity: Ints
    day: Ints
    rows: Ints
    last: Ints

    def frame(self) -> pl.DataFrame:
        """Return `entity`, `date` and the totals, times as UTC microseconds."""
        return totals_frame(self.rows).with_columns(
            pl.Series("entity", self.entity),
            pl.Series("date", self.day.astype(np.int32)).cast(pl.Date),
        )


def totals_frame(rows: Ints) -> pl.DataFrame:
    """Name the columns of rows of totals.

    Returns:
        Int64 columns `total_interactions`, `unique_others`, `rating_sum` (hundredths),
        `rating_count`, `active_day_count` and the counts by type; `first_interaction` and
        `last_interaction` as UTC microseconds.
    """
    names = (
        "total_interactions",
        "unique_others",
        "rating_sum",
        "rating_count",
        "active_day_count",
        "first_interaction",
        "last_interaction",
        *COUNTS,
    )
    columns = np.ascontiguousarray(rows.T)
    times = pl.Datetime("us", "UTC")
    return pl.DataFrame(dict(zip(names, columns, strict=True))).cast(
        {"first_interaction": times, "last_interaction": times}
    )


class EventPass:
    """The events of a tenant after the day of a state.

    Args:
        state: What came before.
        events: Accepted events (columns of `Interaction`) of the tenant, of later days only, in
            any order.
    """

    def __init__(self, state: State, events: pl.DataFrame) -> None:
        self.state = state
        ids = (events["user_id"], events["item_id"])
        self.users, self.items = two_at_a_time(Coded.of, ids)
        self.known_items = state.items.find(self.items.strings, self.items.hashes)
        self.start_of_items = state.items.start(self.known_items)
        self._find_users()
        self.times: Ints = events["timestamp"].to_physical().to_numpy()
        self.days: Ints = events["date"].to_physical().cast(pl.Int64).to_numpy()
        self.types = (
            events["interaction_type"]
            .replace_strict(list(COUNTS.values()), list(range(len(COUNTS))), return_dtype=pl.UInt8)
            .to_numpy()
        )
        self._ratings = (events["rating"] * 100).round().cast(pl.Int64).fill_null(-1).to_numpy()

    def _find_users(self) -> None:
        """Read from the state, bucket by bucket, what the pass's users bring with them."""
        from recsys_pipeline.kernels.groups import take_lists

        size = len(self.users.ids)
        self.bucket_of = self.state.bucket_of(self.users.hashes)
        self.members: list[Members] = []
        self.start_of_users = np.empty((size, WIDTH), np.int64)
        parts: list[Lists] = []
        number = np.empty(size, np.int64)
        at = 0
        for found in two_at_a_time(self._found, np.unique(self.bucket_of).tolist()):
            members, start, recent = found
            self.members.append(members)
            self.start_of_users[members.users] = start
            parts.append(recent)
            number[members.users] = np.arange(at, at + len(members.users))
            at += len(members.users)
        lengths = np.concatenate([np.diff(offsets) for offsets, _ in parts] or [number])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        values = np.concatenate([values for _, values in parts] or [np.empty(0, np.uint32)])
        self._recent_before = take_lists(offsets, values, number)

    def _found(self, number: int) -> tuple[Members, Ints, Lists]:
        """Return the pass's users of a bucket, their totals and latest items before the pass."""
        from recsys_pipeline.kernels.groups import take_lists

        users = np.flatnonzero(self.bucket_of == number)
        bucket = self.state.buckets[number]
        strings = self.users.strings.take(pa.array(users))
        known = bucket.entities.find(strings, self.users.hashes[users])
        recent = take_lists(bucket.recent_offsets, bucket.recent, known)
        return Members(number, users, known), bucket.entities.start(known), recent

    @cached_property
    def by_user(self) -> tuple[Ints, Ints]:
        """Offsets by user, and event numbers by (user, time, item)."""
        from recsys_pipeline.kernels.groups import counting_sort, is_ordered

        offsets, rows = counting_sort(self.users.codes, len(self.users.ids))
        # stored events are in this order already, day by day
        if not is_ordered(offsets, rows, self.times, self.items.codes):
            by_time = np.lexsort((self.items.codes, self.times))
            offsets, rows = counting_sort(self.users.codes[by_time], len(self.users.ids))
            rows = by_time[rows]
        return offsets, rows

    @cached_property
    def by_day(self) -> Ints:
        """Event numbers, days ascending; none where they stand so."""
        if bool((self.days[1:] >= self.days[:-1]).all()):
            return np.empty(0, np.int64)
        return np.argsort(self.days, kind="stable")

    @cached_property
    def days_in_order(self) -> Ints:
        """The day of each event, ascending."""
        return self.days[self.by_day] if len(self.by_day) else self.days

    @cached_property
    def first_meetings(self) -> Flags:
        """Whether each event is the first of its user with its item."""
        _ = self.by_user  # which all need
        first = np.zeros(len(self.times), np.bool_)
        for found in two_at_a_time(self._first_meetings, self.members):
            first |= found
        return first

    def _first_meetings(self, members: Members) -> Flags:
        from recsys_pipeline.kernels.pairs import first_meetings

        bucket = self.state.buckets[members.bucket]
        return first_meetings(
            members.users,
            *self.by_user,
            self.items.codes,
            self.known_items,
            members.known,
            bucket.met_offsets,
            bucket.met,
        )

    def wanted(self, days: Collection[date] | None) -> tuple[int, Flags]:
        """Return the first day of the pass, and for each from it to the last whether it is wanted.

        Args:
            days: The days wanted; None for all.
        """
        low = int(self.days.min()) if len(self.days) else 0
        high = int(self.days.max()) if len(self.days) else -1
        flags = np.full(high - low + 1, days is None)
        for day in days or ():
            number = (day - EPOCH).days - low
            if 0 <= number < len(flags):
                flags[number] = True
        return low, flags

    def totals(self, side: Side, days: Collection[date] | None = None) -> Totals:
        """Return the totals of the users or items after some days.

        Args:
            side: Users or items.
            days: Days whose rows are wanted; None for all.
        """
        from recsys_pipeline.kernels.totals import running_totals

        coded, start = (
            (self.users, self.start_of_users)
            if side == "user"
            else (self.items, self.start_of_items)
        )
        low, wanted = self.wanted(days)
        who, when, found, last = running_totals(
            coded.codes,
            self.by_day,
            self.days - low,
            self.times,
            self.types,
            self._ratings,
            self.first_meetings,
            start,
            wanted,
        )
        return Totals(who, when + low, found, last)

    def last_totals(self) -> tuple[Ints, Ints]:
        """Return the totals of users and of items after the last event."""
        _ = self.first_meetings  # which both need
        users, items = two_at_a_time(lambda side: self.totals(side, ()).last, SIDES)
        return users, items

    def recent_items(self, users: Ints, behind: Ints) -> tuple[Ints, Ints]:
        """Return the latest items of users at some moments.

        Args:
            users: User codes of the pass.
            behind: For each, the place behind its latest event in `by_user`.

        Returns:
            Offsets and item codes: of the pass, or, from `len(items.ids)` on, of the state.
        """
        from recsys_pipeline.kernels.recents import recent_items

        return recent_items(
            users,
            behind,
            *self.by_user,
            self.times,
            self.items.codes,
            *self._recent_before,
            len(self.items.ids),
            RECENT_ITEMS,
        )

    def behind(self, totals: Totals) -> Ints:
        """Return for each row of users' totals the place in `by_user` behind its latest event."""
        before = self.start_of_users[totals.entity, TOTAL]
        places: Ints = self.by_user[0][totals.entity] + totals.rows[:, TOTAL] - before
        return places

    def item_ids(self, codes: Ints) -> pl.Series:
        """Return the ids of codes as `recent_items` gives them."""
        return pl.concat([self.items.ids, self._state_item_ids]).gather(codes)

    @cached_property
    def _state_item_ids(self) -> pl.Series:
        return pl.Series(self.state.items.ids, dtype=pl.String)
