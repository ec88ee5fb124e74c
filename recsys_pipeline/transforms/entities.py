"""Users or items under dense codes: their ids and their totals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys_pipeline.kernels.columns import FIRST, LAST, WIDTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.stable_hash import Words

Arrays = dict[str, npt.NDArray[Any]]


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
    from recsys_pipeline.kernels.strings import hash_words, sorted_order

    found, codes = distinct_codes(strings)
    order = sorted_order(*string_buffers(found))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    found = found.take(pa.array(order))
    return found, hash_words(*string_buffers(found)), rank[codes]


def distinct_codes(strings: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Ints]:
    """Number the distinct strings in the order in which they come.

    Returns:
        The distinct strings, and the code of each given string.
    """
    from recsys_pipeline.kernels.strings import dense_codes, hash_words

    offsets, data = string_buffers(strings)
    codes, firsts = dense_codes(offsets, data, hash_words(offsets, data))
    return strings.take(pa.array(firsts)), codes


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

    def start(self, known: Ints) -> Ints:
        """Return the totals of some codes; -1 gives those of an entity without events."""
        rows = np.zeros((len(known), WIDTH), np.int64)
        limits = np.iinfo(np.int64)
        rows[:, FIRST], rows[:, LAST] = limits.max, limits.min
        here = known >= 0
        rows[here] = self.totals[known[here]]
        return rows

    def take(self, codes: Ints) -> Entities:
        """Return some of them, numbered anew in the order of `codes` (distinct)."""
        number = np.full(self.count, -1, np.int64)
        number[codes] = np.arange(len(codes))
        by_hash = number[self.by_hash]
        chosen = by_hash >= 0
        ids = self.ids.take(pa.array(codes))
        return Entities(ids, self.hashes[chosen], by_hash[chosen], self.totals[codes])

    def with_later(
        self, strings: pa.LargeStringArray, hashes: Words, known: Ints, last: Ints
    ) -> tuple[Entities, Ints]:
        """Return these entities after later events.

        Args:
            strings: Distinct ids.
            hashes: Their stable hashes.
            known: The code of each, -1 of those that are new.
            last: The totals of each afterwards.

        Returns:
            The entities, and the code of each id among them. Present codes stay.
        """
        new = known < 0
        codes = known.copy()
        codes[new] = self.count + np.arange(int(new.sum()))
        totals = np.concatenate([self.totals, np.empty((int(new.sum()), WIDTH), np.int64)])
        totals[codes] = last
        every = np.concatenate([self.hashes, hashes[new]])
        by_hash = np.concatenate([self.by_hash, codes[new]])
        order = np.argsort(every, kind="stable")
        ids = pa.concat_arrays([self.ids, strings.filter(pa.array(new))])
        return Entities(ids, every[order], by_hash[order], totals), codes

    def arrays(self) -> Arrays:
        """Return all that they are made of, as flat arrays by name."""
        offsets, data = self.buffers
        return {
            "id_offsets": offsets - offsets[0],
            "id_bytes": data[offsets[0] : offsets[-1]],
            "hashes": self.hashes,
            "by_hash": self.by_hash,
            "totals": self.totals.reshape(-1),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Entities:
        """Return those of which `arrays` gave these; they are not copied.

        Raises:
            KeyError: An array is missing.
        """
        offsets = arrays["id_offsets"]
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(arrays["id_bytes"])]
        ids = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
        totals = arrays["totals"].reshape(-1, WIDTH)
        return cls(ids, arrays["hashes"], arrays["by_hash"], totals)
