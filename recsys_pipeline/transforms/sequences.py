"""Sequences: a user's last events before a moment, for sequential models.

Point in time to the microsecond: an event at the moment itself is not before it. Events at the same time
are in the reverse of the order of `recent_items`: a sequence is the recent items of the moment, the oldest
first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.settings import INTERACTION_TYPES
from recsys_pipeline.transforms.id_codes import IdCodes

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys_pipeline.transforms.arrays import Ints

# 0 is padding; a type keeps its number for good
TYPE_CODES = {name: number for number, name in enumerate(INTERACTION_TYPES, start=1)}
EVENT = ("user_id", "timestamp", "item_id", "interaction_type")


class Sequences:
    """Goes through a tenant's days, and knows the last events of each user.

    Memory: 5 bytes for each of the `length` events of each user that has had one, and the events of a day.

    Args:
        length: Events of a sequence at most.
    """

    def __init__(self, length: int) -> None:
        self.items = IdCodes()
        self._length = length
        self._users = IdCodes()
        self._kept = np.zeros(0, np.int64)
        # the large part of memory: 5 bytes an event
        self._kept_items = np.zeros(0, np.uint32)
        self._kept_types = np.zeros(0, np.uint8)
        self._open(pl.DataFrame(schema=dict.fromkeys(EVENT, pl.String)))

    def open(self, events: pl.DataFrame) -> None:
        """Begin a day; the events of the one before are kept as far as later days need them.

        Args:
            events: Columns `EVENT` of some days, all later than those of the calls before.
        """
        self._close()
        self._open(events)

    def before(self, samples: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Return the sequence of each sample of the day that is open.

        Args:
            samples: Columns `user_id` and `timestamp`.

        Returns:
            Lists of item codes (see `items`; UInt32), and of `TYPE_CODES` (UInt8), in the order of samples;
            an empty list where the user has no event before.
        """
        users = self._users.find(samples["user_id"])
        # one that was never seen stands behind all others, with no event
        users = np.where(users < 0, len(self._users), users)
        moments = samples["timestamp"].to_physical().to_numpy()
        until = self._behind(users, moments)
        offsets, items, types = self._sequences(users, until)
        return _lists(offsets, items, pl.UInt32()), _lists(offsets, types, pl.UInt8())

    def _open(self, events: pl.DataFrame) -> None:
        order = ("user_id", "timestamp", "item_id", "interaction_type")
        ordered = events.select(EVENT).sort(order, descending=[False, False, True, True])
        users = self._users.add(ordered["user_id"])
        by_user = np.argsort(users, kind="stable")
        self._day_users = users[by_user]
        self._day_times = ordered["timestamp"].to_physical().cast(pl.Int64).to_numpy()[by_user]
        self._day_items = self.items.add(ordered["item_id"])[by_user]
        types = ordered["interaction_type"].replace_strict(TYPE_CODES, return_dtype=pl.Int64)
        self._day_types = types.to_numpy()[by_user]
        everyone = np.arange(len(self._users) + 2)
        self._offsets = np.searchsorted(self._day_users, everyone).astype(np.int64)

    def _close(self) -> None:
        touched = np.unique(self._day_users)
        result, items, types = self._sequences(touched, self._offsets[touched + 1])
        room = len(self._users) * self._length
        self._kept = np.concatenate(
            [self._kept, np.zeros(len(self._users) - len(self._kept), np.int64)]
        )
        self._kept_items = _grown(self._kept_items, room)
        self._kept_types = _grown(self._kept_types, room)
        sizes = np.diff(result)
        self._kept[touched] = sizes
        places = np.repeat(touched * self._length - result[:-1], sizes) + np.arange(len(items))
        self._kept_items[places] = items
        self._kept_types[places] = types

    def _behind(self, users: Ints, moments: Ints) -> Ints:
        """Return the place behind each user's last event of today before a moment."""
        both_users = np.concatenate([self._day_users, users])
        both_times = np.concatenate([self._day_times, moments])
        # samples first among equals: an event of the moment itself is not before it
        is_event = np.concatenate([np.ones(len(self._day_users)), np.zeros(len(users))])
        merged = np.lexsort((is_event, both_times, both_users))
        passed = np.cumsum(is_event[merged] == 1)
        found = np.empty(len(users), np.int64)
        asked = merged[is_event[merged] == 0] - len(self._day_users)
        found[asked] = passed[is_event[merged] == 0]
        return found

    def _sequences(self, users: Ints, until: Ints) -> tuple[Ints, Ints, Ints]:
        from recsys_pipeline.kernels.sequences import sequences_before

        return sequences_before(
            users,
            until,
            self._offsets,
            self._day_items,
            self._day_types,
            self._kept,
            self._kept_items,
            self._kept_types,
            self._length,
        )


def _lists(offsets: Ints, values: Ints, dtype: pl.DataType) -> pl.Series:
    array = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
    return pl.Series(array, dtype=pl.List(pl.Int64)).cast(pl.List(dtype))


def with_values(lists: pl.Series, values: Ints) -> pl.Series:
    """Put values in the place of codes, in lists of them.

    Args:
        lists: Lists of codes (unsigned integers, no nulls).
        values: The value of each code (int64).

    Returns:
        Lists of Int64.
    """
    array = lists.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    flat = values[array.values.to_numpy()] if len(values) else np.zeros(0, np.int64)
    named = pa.LargeListArray.from_arrays(array.offsets, pa.array(flat))
    return pl.Series(lists.name, named, dtype=pl.List(pl.Int64))


def _grown(values: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    if len(values) >= size:
        return values
    grown = np.zeros(max(size, len(values) * 5 // 4), values.dtype)  # not anew for each day
    grown[: len(values)] = values
    return grown
