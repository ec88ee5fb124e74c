"""Ids numbered in the order in which they come, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.transforms.entities import arrow_strings, sorted_codes, string_buffers

if TYPE_CHECKING:
    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.stable_hash import Words


class IdCodes:
    """A growing dictionary of ids; a code is never given to another id."""

    def __init__(self) -> None:
        self._ids: pa.LargeStringArray = pa.array([], pa.large_string())
        self._hashes: Words = np.empty(0, np.uint64)  # ascending
        self._by_hash: Ints = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._by_hash)

    @property
    def ids(self) -> pl.Series:
        """The id of each code (String)."""
        return pl.Series("id", self._ids, dtype=pl.String)

    def add(self, values: pl.Series) -> Ints:
        """Return the code of each id (String without nulls); new ids get the next ones."""
        return self._codes(values, grow=True)

    def find(self, values: pl.Series) -> Ints:
        """Return the code of each id (String without nulls), -1 where it has none."""
        return self._codes(values, grow=False)

    def _codes(self, values: pl.Series, *, grow: bool) -> Ints:
        from recsys_pipeline.kernels.strings import find

        distinct, hashes, code_of = sorted_codes(arrow_strings(values))
        known = find(
            *string_buffers(distinct),
            hashes,
            *string_buffers(self._ids),
            self._hashes,
            self._by_hash,
        ).copy()
        new = known < 0
        if grow and new.any():
            known[new] = len(self) + np.arange(int(new.sum()))
            every = np.concatenate([self._hashes, hashes[new]])
            order = np.argsort(every, kind="stable")
            self._by_hash = np.concatenate([self._by_hash, known[new]])[order]
            self._hashes = every[order]
            self._ids = pa.concat_arrays([self._ids, distinct.filter(pa.array(new))])
        found: Ints = known[code_of]
        return found
