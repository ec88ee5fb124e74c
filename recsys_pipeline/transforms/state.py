"""What a tenant's events up to a day come to: the state that later days build on.

It holds totals by user and item, each user's latest items and all items that a user has met, under
dense codes in the order of arrival. It is derived from events alone, so it is a cache: features and
samples of a day are the same from the state of the day before as from all events.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys_pipeline.kernels.columns import WIDTH

if TYPE_CHECKING:
    import polars as pl

    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.stable_hash import Words


def string_buffers(strings: pa.LargeStringArray) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Return offsets (int64) and bytes (uint8) of strings without nulls."""
    _, offsets, data = strings.buffers()
    begin = strings.offset
    if offsets is None:
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    text = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return np.frombuffer(offsets, np.int64)[begin : begin + len(strings) + 1], text


def arrow_strings(values: pl.Series) -> pa.LargeStringArray:
    """Return a String series without nulls in Arrow's large layout."""
    import polars as pl

    strings = values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    return strings.cast(pa.large_string())


def sorted_codes(strings: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Words, Ints]:
    """Number the distinct strings in their sorted order.

    Returns:
        The distinct strings, ascending; their stable hashes; and the code of each given string.
    """
    from recsys_pipeline.kernels.strings import dense_codes, hash_words, sorted_order

    offsets, data = string_buffers(strings)
    hashes = hash_words(offsets, data)
    codes, firsts = dense_codes(offsets, data, hashes)
    found = strings.take(pa.array(firsts))
    order = sorted_order(*string_buffers(found))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return found.take(pa.array(order)), hashes[firsts[order]], rank[codes]


@dataclass(frozen=True)
class Entities:
    """Users or items: their ids by code, and their totals.

    Attributes:
        ids: The id of each code.
        hashes: Stable hashes of the ids, ascending (uint64).
        by_hash: The code of each of `hashes` (int64).
        totals: One row of `WIDTH` int64 numbers per code, see `kernels.columns`.
    """

    ids: pa.LargeStringArray
    hashes: Words
    by_hash: Ints
    totals: Ints

    @classmethod
    def none(cls) -> Entities:
        """Return no entities."""
        return cls(
            pa.array([], pa.large_string()),
            np.empty(0, np.uint64),
            np.empty(0, np.int64),
            np.empty((0, WIDTH), np.int64),
        )

    @property
    def count(self) -> int:
        """Number of entities."""
        return len(self.by_hash)

    @cached_property
    def buffers(self) -> tuple[Ints, npt.NDArray[np.uint8]]:
        """Offsets and bytes of the ids."""
        return string_buffers(self.ids)

    def find(self, strings: pa.LargeStringArray, hashes: Words) -> Ints:
        """Return the code of each id, -1 where it is none of these."""
        from recsys_pipeline.kernels.strings import find

        offsets, data = string_buffers(strings)
        return find(offsets, data, hashes, *self.buffers, self.hashes, self.by_hash)


@dataclass(frozen=True)
class State:
    """A tenant's events up to the end of a day, as far as later days need them.

    Attributes:
        users: The users.
        items: The items.
        recent_offsets: User u's latest items are `recent[recent_offsets[u]:recent_offsets[u + 1]]`.
        recent: Item codes (uint32), latest first, then by item id.
        met_offsets: The items that user u has met are `met[met_offsets[u]:met_offsets[u + 1]]`.
        met: Item codes (uint32), ascending within a user.
    """

    users: Entities
    items: Entities
    recent_offsets: Ints
    recent: npt.NDArray[np.uint32]
    met_offsets: Ints
    met: npt.NDArray[np.uint32]

    @classmethod
    def empty(cls) -> State:
        """Return the state before any event."""
        offsets, values = np.zeros(1, np.int64), np.empty(0, np.uint32)
        return cls(Entities.none(), Entities.none(), offsets, values, offsets, values)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that the state is made of, as flat arrays by name."""
        found: dict[str, npt.NDArray[Any]] = {}
        for side in ("users", "items"):
            entities: Entities = getattr(self, side)
            offsets, data = entities.buffers
            found |= {
                f"{side}_id_offsets": offsets - offsets[0],
                f"{side}_id_bytes": data[offsets[0] : offsets[-1]],
                f"{side}_hashes": entities.hashes,
                f"{side}_by_hash": entities.by_hash,
                f"{side}_totals": entities.totals.reshape(-1),
            }
        lists = ("recent_offsets", "recent", "met_offsets", "met")
        return found | {name: getattr(self, name) for name in lists}

    @classmethod
    def of_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> State:
        """Return the state of which `arrays` gave these; they are not copied.

        Raises:
            KeyError: An array is missing.
        """
        return cls(
            _entities(arrays, "users"),
            _entities(arrays, "items"),
            arrays["recent_offsets"],
            arrays["recent"],
            arrays["met_offsets"],
            arrays["met"],
        )


def _entities(arrays: dict[str, npt.NDArray[Any]], side: str) -> Entities:
    offsets = arrays[f"{side}_id_offsets"]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(arrays[f"{side}_id_bytes"])]
    ids = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
    totals = arrays[f"{side}_totals"].reshape(-1, WIDTH)
    return Entities(ids, arrays[f"{side}_hashes"], arrays[f"{side}_by_hash"], totals)
