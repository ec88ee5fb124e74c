"""A 64-bit hash of our own, the same on every platform, version, chunking and thread count.

Strings: FNV-1a over UTF-8 bytes (Fowler, Noll, Vo), finished with the mix of splitmix64 (Steele,
Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Sequences of
words: each word is folded into the state and mixed.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Words: TypeAlias = npt.NDArray[np.uint64]

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(words: Words) -> Words:
    """Apply splitmix64's finaliser to each word (uint64 in, uint64 out)."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))


def fold(state: Words, word: npt.NDArray[np.integer] | np.uint64) -> Words:
    """Fold a word into each state: mix((state xor word) + golden gamma).

    Args:
        state: uint64 array.
        word: Integer array that broadcasts against `state`; negative numbers wrap.
    """
    return mix((state ^ np.asarray(word).astype(np.uint64)) + _GOLDEN)


def start(seed: int) -> Words:
    """Return the state of a seed, as an array of one word."""
    return mix(np.array([seed], dtype=np.uint64) + _GOLDEN)


def hash_strings(values: pl.Series) -> Words:
    """Hash a String series without nulls.

    Returns:
        uint64 array, one hash per value.
    """
    arrow = values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets_buffer, data = arrow.cast(pa.large_binary()).buffers()
    state = np.full(len(values), _FNV_OFFSET)
    if len(values) == 0:
        return mix(state)
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[arrow.offset :][: len(values) + 1]
    text = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, np.uint8)
    lengths = np.diff(offsets)
    # longest first, so that the strings which still have a byte are always a prefix
    order = np.argsort(-lengths, kind="stable")
    starts = offsets[:-1][order]
    still = np.searchsorted(-lengths[order], -np.arange(lengths.max()), side="left")
    for position, alive in enumerate(still):
        byte = text[starts[:alive] + position].astype(np.uint64)
        state[:alive] = (state[:alive] ^ byte) * _FNV_PRIME
    hashes = np.empty_like(state)
    hashes[order] = state
    return mix(hashes)
