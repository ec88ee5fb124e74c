"""One pass over a tenant's events of some days, on the state of the day before them.

From the same pass come the features of users and items, what samples need to know of the time
before, and the state after the last day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.kernels.columns import TOTAL, WIDTH
from recsys_pipeline.schemas.features import RECENT_ITEMS
from recsys_pipeline.transforms.entities import arrow_strings, distinct_codes, sorted_codes
from recsys_pipeline.transforms.features_common import COUNTS
from recsys_pipeline.transforms.threads import two_at_a_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import numpy.typing as npt

    from recsys_pipeline.transforms.arrays import Bytes, Codes, Days, Flags, Ints, Lists
    from recsys_pipeline.transforms.stable_hash import Words
    from recsys_pipeline.transforms.state import State

EPOCH = date(1970, 1, 1)
Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")
_VIEW = tuple(COUNTS.values()).index("view")


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
    codes: Codes

    @classmethod
    def of(cls, parts: Sequence[tuple[pa.LargeStringArray, Codes]]) -> Coded:
        """Code a column of which each part has distinct ids and codes of its own.

        Args:
            parts: Ids by code, and the code of each row, of the parts in their order.
        """
        every = pa.concat_arrays([pa.array([], pa.large_string()), *(ids for ids, _ in parts)])
        strings, hashes, places = sorted_codes(every)
        codes = np.empty(sum(len(own) for _, own in parts), np.uint32)
        at = first = 0
        for ids, own in parts:
            codes[at : at + len(own)] = places[first : first + len(ids)][own]
            at, first = at + len(own), first + len(ids)
        return cls(pl.Series(strings, dtype=pl.String), strings, hashes, codes)


def _own_codes(column: pl.Series) -> tuple[pa.LargeStringArray, Codes]:
    """Return the distinct strings of a part of a column, and the code of each row."""
    strings, codes = distinct_codes(arrow_strings(column))
    return strings, codes.astype(np.uint32)


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
            any order; whole, or part by part.

    Attributes:
        times: Microseconds since 1970-01-01 of each event.
        days: Days since 1970-01-01.
        types: Place of its type in `COUNTS`.
    """

    def __init__(self, state: State, events: pl.DataFrame | Iterable[pl.DataFrame]) -> None:
        self.state = state
        ids: tuple[list[tuple[pa.LargeStringArray, Codes]], ...] = ([], [])
        columns: tuple[list[npt.NDArray[Any]], ...] = ([], [], [], [])
        for part in [events] if isinstance(events, pl.DataFrame) else events:
            both = two_at_a_time(_own_codes, (part["user_id"], part["item_id"]))
            for found, coded in zip(ids, both, strict=True):
                found.append(coded)
            for kept, column in zip(columns, _numbers(part), strict=True):
                kept.append(column)
            del part  # it is large, and the next one is read before the name is taken
        self.times: Ints = _joined(columns[0], np.int64)
        self.days: Days = _joined(columns[1], np.int32)
        self.types: Bytes = _joined(columns[2], np.uint8)
        self._ratings: npt.NDArray[np.int16] = _joined(columns[3], np.int16)
        self.users, self.items = two_at_a_time(Coded.of, ids)
        del ids
        self.known_items = state.items.find(self.items.strings, self.items.hashes)
        self.start_of_items = state.items.start(self.known_items)
        self._find_users()

    def _find_users(self) -> None:
        """Find the pass's users in the state, bucket by bucket."""
        self.bucket_of = self.state.bucket_of(self.users.hashes)
        buckets = np.unique(self.bucket_of).tolist()
        self.members: list[Members] = list(two_at_a_time(self._found, buckets))

    def _found(self, number: int) -> Members:
        """Return the pass's users of a bucket."""
        users = np.flatnonzero(self.bucket_of == number)
        strings = self.users.strings.take(pa.array(users))
        known = self.state.buckets[number].entities.find(strings, self.users.hashes[users])
        return Members(number, users, known)

    # what follows is asked for in kernels' threads too, and so must not wait for them

    @cached_property
    def start_of_users(self) -> Ints:
        """The totals of each user before the pass."""
        start = np.empty((len(self.users.ids), WIDTH), np.int64)
        for members in self.members:
            start[members.users] = self.state.buckets[members.bucket].entities.start(members.known)
        return start

    @cached_property
    def _recent_before(self) -> Lists:
        """Each user's latest items before the pass."""
        from recsys_pipeline.kernels.groups import take_lists

        parts: list[Lists] = []
        number = np.empty(len(self.users.ids), np.int64)
        at = 0
        for members in self.members:
            bucket = self.state.buckets[members.bucket]
            parts.append(take_lists(bucket.recent_offsets, bucket.recent, members.known))
            number[members.users] = np.arange(at, at + len(members.users))
            at += len(members.users)
        lengths = np.concatenate([np.diff(offsets) for offsets, _ in parts] or [number])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        values = np.concatenate([values for _, values in parts] or [np.empty(0, np.uint32)])
        return take_lists(offsets, values, number)

    @cached_property
    def by_user(self) -> tuple[Ints, Codes]:
        """Offsets by user, and event numbers by (user, time, item)."""
        from recsys_pipeline.kernels.groups import counting_sort, is_ordered

        offsets, rows = counting_sort(self.users.codes, len(self.users.ids))
        # stored events are in this order already, day by day
        if not is_ordered(offsets, rows, self.times, self.items.codes):
            by_time = np.lexsort((self.items.codes, self.times))
            offsets, rows = counting_sort(self.users.codes[by_time], len(self.users.ids))
            rows = by_time[rows].astype(np.uint32)
        return offsets, rows

    @cached_property
    def by_day(self) -> Ints:
        """Event numbers, days ascending; none where they stand so."""
        if bool((self.days[1:] >= self.days[:-1]).all()):
            return np.empty(0, np.int64)
        return np.argsort(self.days, kind="stable")

    @cached_property
    def days_in_order(self) -> Days:
        """The day of each event, ascending."""
        return self.days[self.by_day] if len(self.by_day) else self.days

    @property
    def first_meetings(self) -> Flags:
        """Whether each event is the first of its user with its item."""
        return self._firsts[0]

    @property
    def first_engagements(self) -> Flags:
        """Whether each event is the first of its user with its item that is more than a view."""
        return self._firsts[1]

    @cached_property
    def _firsts(self) -> tuple[Flags, Flags]:
        _ = self.by_user  # which all need
        engaged = self.types != _VIEW
        meetings, engagements = np.zeros((2, len(self.times)), np.bool_)
        for found in two_at_a_time(lambda own: self._firsts_of(own, engaged), self.members):
            meetings |= found[0]
            engagements |= found[1]
        return meetings, engagements

    def _firsts_of(self, members: Members, engaged: Flags) -> tuple[Flags, Flags]:
        from recsys_pipeline.kernels.pairs import first_events

        bucket = self.state.buckets[members.bucket]
        return first_events(
            members.users,
            *self.by_user,
            self.items.codes,
            engaged,
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


def _numbers(events: pl.DataFrame) -> tuple[npt.NDArray[Any], ...]:
    """Return time, day, type and rating in hundredths (-1 without one) of events."""
    kinds = {word: number for number, word in enumerate(COUNTS.values())}
    return (
        events["timestamp"].to_physical().to_numpy(),
        events["date"].to_physical().to_numpy(),
        events["interaction_type"].replace_strict(kinds, return_dtype=pl.UInt8).to_numpy(),
        (events["rating"] * 100).round().cast(pl.Int16).fill_null(-1).to_numpy(),
    )


def _joined(parts: list[npt.NDArray[Any]], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return the parts of a column as one array, and let go of them."""
    if len(parts) == 1:
        return parts.pop()
    whole = np.empty(sum(len(part) for part in parts), dtype)
    end = len(whole)
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole
