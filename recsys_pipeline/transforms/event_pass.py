"""One pass over a tenant's events of some days, on the state of the day before them.

From the same pass come the features of users and items, what samples need to know of the time
before, and the state after the last day.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.kernels.columns import TOTAL
from recsys_pipeline.schemas.features import RECENT_ITEMS
from recsys_pipeline.transforms.features_common import COUNTS
from recsys_pipeline.transforms.state import Entities, State, arrow_strings, sorted_codes

if TYPE_CHECKING:
    from collections.abc import Collection

    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.stable_hash import Words

EPOCH = date(1970, 1, 1)
Side = Literal["user", "item"]


@dataclass(frozen=True)
class Coded:
    """The distinct ids of a column: a code is an id's place in the sorted order.

    Attributes:
        ids: The ids, ascending.
        strings: The same in Arrow's large layout.
        hashes: Their stable hashes.
        codes: The code of each row.
        known: The code of each id in the state, -1 where it has none.
    """

    ids: pl.Series
    strings: pa.LargeStringArray
    hashes: Words
    codes: Ints
    known: Ints

    @classmethod
    def of(cls, column: pl.Series, entities: Entities) -> Coded:
        """Code a String series without nulls."""
        strings, hashes, codes = sorted_codes(arrow_strings(column))
        ids = pl.Series(strings, dtype=pl.String)
        return cls(ids, strings, hashes, codes, entities.find(strings, hashes))


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
        self._events = events.select("timestamp", "date", "interaction_type")
        with ThreadPoolExecutor(2) as pool:  # kernels leave the interpreter to other threads
            users = pool.submit(Coded.of, events["user_id"], state.users)
            self.items = Coded.of(events["item_id"], state.items)
            self.users = users.result()
        self.times: Ints = events["timestamp"].to_physical().to_numpy()
        self.days: Ints = events["date"].to_physical().cast(pl.Int64).to_numpy()
        self._types = (
            events["interaction_type"]
            .replace_strict(list(COUNTS.values()), list(range(len(COUNTS))), return_dtype=pl.UInt8)
            .to_numpy()
        )
        self._ratings = (events["rating"] * 100).round().cast(pl.Int64).fill_null(-1).to_numpy()

    def coded(self) -> pl.LazyFrame:
        """Return the events with codes in the place of user and item ids; they sort as the ids do."""
        return pl.LazyFrame(
            {
                "user_id": self.users.codes,
                "item_id": self.items.codes,
                "timestamp": self._events["timestamp"],
                "date": self._events["date"],
                "interaction_type": self._events["interaction_type"],
            }
        )

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
    def _by_day(self) -> Ints:
        """Event numbers, days ascending; none where they stand so."""
        if bool((self.days[1:] >= self.days[:-1]).all()):
            return np.empty(0, np.int64)
        return np.argsort(self.days, kind="stable")

    @cached_property
    def first_meetings(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether each event is the first of its user with its item."""
        from recsys_pipeline.kernels.pairs import first_meetings

        return first_meetings(
            *self.by_user,
            self.items.codes,
            self.items.known,
            self.users.known,
            self.state.met_offsets,
            self.state.met,
        )

    def totals(self, side: Side, days: Collection[date] | None = None) -> Totals:
        """Return the totals of the users or items after some days.

        Args:
            side: Users or items.
            days: Days whose rows are wanted; None for all.
        """
        from recsys_pipeline.kernels.totals import running_totals

        coded, entities = (
            (self.users, self.state.users) if side == "user" else (self.items, self.state.items)
        )
        low = int(self.days.min()) if len(self.days) else 0
        high = int(self.days.max()) if len(self.days) else -1
        wanted = np.full(high - low + 1, days is None)
        for day in days or ():
            number = (day - EPOCH).days - low
            if 0 <= number < len(wanted):
                wanted[number] = True
        who, when, found, last = running_totals(
            coded.codes,
            self._by_day,
            self.days - low,
            self.times,
            self._types,
            self._ratings,
            self.first_meetings,
            coded.known,
            entities.totals,
            wanted,
        )
        return Totals(who, when + low, found, last)

    def last_totals(self) -> tuple[Ints, Ints]:
        """Return the totals of users and of items after the last event."""
        _ = self.first_meetings  # which both need
        with ThreadPoolExecutor(2) as pool:
            users = pool.submit(self.totals, "user", ())
            items = self.totals("item", ()).last
            return users.result().last, items

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
            self.users.known,
            self.state.recent_offsets,
            self.state.recent,
            len(self.items.ids),
            RECENT_ITEMS,
        )

    def behind(self, totals: Totals) -> Ints:
        """Return for each row of users' totals the place in `by_user` behind its latest event."""
        known = self.users.known[totals.entity]
        before = np.zeros(len(known), np.int64)
        before[known >= 0] = self.state.users.totals[known[known >= 0], TOTAL]
        return self.by_user[0][totals.entity] + totals.rows[:, TOTAL] - before

    def item_ids(self, codes: Ints) -> pl.Series:
        """Return the ids of codes as `recent_items` gives them."""
        return pl.concat([self.items.ids, self._state_item_ids]).gather(codes)

    @cached_property
    def _state_item_ids(self) -> pl.Series:
        return pl.Series(self.state.items.ids, dtype=pl.String)

    def merged(self) -> State:
        """Return the state after the pass's last day."""
        from recsys_pipeline.kernels.groups import replace_lists
        from recsys_pipeline.kernels.pairs import items_met

        state = self.state
        of_users, of_items = self.last_totals()
        users, user_codes = _merged(state.users, self.users, of_users)
        items, item_codes = _merged(state.items, self.items, of_items)
        every = np.arange(len(self.users.ids))
        offsets, codes = self.recent_items(every, self.by_user[0][1:])
        # the state's codes stay, those of the pass become its
        recent = np.concatenate([item_codes, np.arange(state.items.count)])[codes].astype(np.uint32)
        met = items_met(
            *self.by_user,
            self.items.codes,
            self.first_meetings,
            item_codes,
            self.users.known,
            state.met_offsets,
            state.met,
        )
        size = users.count
        return State(
            users,
            items,
            *replace_lists(state.recent_offsets, state.recent, user_codes, offsets, recent, size),
            *replace_lists(state.met_offsets, state.met, user_codes, *met, size),
        )


def _merged(entities: Entities, coded: Coded, last: Ints) -> tuple[Entities, Ints]:
    """Return the entities after a pass, and the code among them of each code of the pass."""
    new = coded.known < 0
    codes = coded.known.copy()
    codes[new] = entities.count + np.arange(int(new.sum()))
    totals = np.concatenate([entities.totals, np.empty((int(new.sum()), last.shape[1]), np.int64)])
    totals[codes] = last
    hashes = np.concatenate([entities.hashes, coded.hashes[new]])
    by_hash = np.concatenate([entities.by_hash, codes[new]])
    order = np.argsort(hashes, kind="stable")
    ids = pa.concat_arrays([entities.ids, coded.strings.filter(pa.array(new))])
    return Entities(ids, hashes[order], by_hash[order], totals), codes
