"""What a tenant's events up to a day come to: the state that later days build on.

It holds totals by user and item, each user's latest items and all items that a user has met, under
dense codes in the order of arrival. It is derived from events alone, so it is a cache: features and
samples of a day are the same from the state of the day before as from all events.

Users are in buckets by the stable hash of their ids, so that only a part of them need be in memory.
What is known of items is one table, which is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recsys_pipeline.transforms.entities import Arrays, Entities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.stable_hash import Words

# of a bucket's arrays: what is over it is divided
BUCKET_BYTES = 64 * 2**20
_END = 2**64


@dataclass(frozen=True)
class Users:
    """A bucket of users.

    Attributes:
        low: The least hash of an id that belongs here.
        entities: The users.
        recent_offsets: User u's latest items are `recent[recent_offsets[u]:recent_offsets[u + 1]]`.
        recent: Item codes (uint32), latest first, then by item id.
        met_offsets: The items that user u has met are `met[met_offsets[u]:met_offsets[u + 1]]`.
        met: Twice the item's code, plus 1 if the user has done more than view it (uint32), ascending
            within a user.
    """

    low: int
    entities: Entities
    recent_offsets: Ints
    recent: npt.NDArray[np.uint32]
    met_offsets: Ints
    met: npt.NDArray[np.uint32]

    @classmethod
    def none(cls) -> Users:
        """Return the bucket of all users, before there are any."""
        offsets, values = np.zeros(1, np.int64), np.empty(0, np.uint32)
        return cls(0, Entities.none(), offsets, values, offsets, values)

    def arrays(self) -> Arrays:
        """Return all that they are made of, as flat arrays by name."""
        return {
            "low": np.array([self.low], np.uint64),
            **self.entities.arrays(),
            "recent_offsets": self.recent_offsets,
            "recent": self.recent,
            "met_offsets": self.met_offsets,
            "met": self.met,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Users:
        """Return those of which `arrays` gave these; they are not copied.

        Raises:
            KeyError: An array is missing.
        """
        lists = (arrays[name] for name in ("recent_offsets", "recent", "met_offsets", "met"))
        return cls(int(arrays["low"][0]), Entities.of_arrays(arrays), *lists)

    def divided(self, end: int, limit: int) -> Iterator[Users]:
        """Yield buckets of at most `limit` bytes, by halves of the range of hashes up to `end`.

        A user whose own arrays are larger stays whole.
        """
        size = sum(array.nbytes for array in self.arrays().values())
        middle = self.low + (end - self.low) // 2
        if size <= limit or self.entities.count < 2 or middle == self.low:
            yield self
            return
        place = int(np.searchsorted(self.entities.hashes, np.uint64(middle)))
        lower, upper = np.split(self.entities.by_hash, [place])
        yield from self._taken(np.sort(lower), self.low).divided(middle, limit)
        yield from self._taken(np.sort(upper), middle).divided(end, limit)

    def without(self, codes: Ints) -> Users:
        """Return the bucket without some of its users; what is known of items is left as it is."""
        kept = np.setdiff1d(np.arange(self.entities.count, dtype=np.int64), codes)
        return self._taken(kept, self.low)

    def _taken(self, codes: Ints, low: int) -> Users:
        from recsys_pipeline.kernels.groups import take_lists

        return Users(
            low,
            self.entities.take(codes),
            *take_lists(self.recent_offsets, self.recent, codes),
            *take_lists(self.met_offsets, self.met, codes),
        )


@dataclass(frozen=True)
class State:
    """A tenant's events up to the end of a day, as far as later days need them.

    Attributes:
        items: The items.
        lows: The least hash of each bucket, ascending from 0 (uint64).
        buckets: The users. A bucket may be read from disk each time that it is asked for.
    """

    items: Entities
    lows: Words
    buckets: Sequence[Users]

    @classmethod
    def of(cls, items: Entities, buckets: Sequence[Users]) -> State:
        """Return the state of items and buckets, which stand in the order of hashes."""
        lows = np.array([bucket.low for bucket in buckets], np.uint64)
        return cls(items, lows, buckets)

    @classmethod
    def empty(cls) -> State:
        """Return the state before any event."""
        return cls.of(Entities.none(), (Users.none(),))

    def bucket_of(self, hashes: Words) -> Ints:
        """Return the bucket to which each hash belongs."""
        return np.searchsorted(self.lows, hashes, side="right") - 1

    def end(self, bucket: int) -> int:
        """Return the least hash behind a bucket."""
        return int(self.lows[bucket + 1]) if bucket + 1 < len(self.lows) else _END
