"""A 64-bit hash of our own, the same on every platform, version, chunking and thread count.

Strings: FNV-1a over UTF-8 bytes (Fowler, Noll, Vo), finished with the mix of splitmix64 (Steele,
Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Sequences of
words: each word is folded into the state and mixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

Words: TypeAlias = npt.NDArray[np.uint64]

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
    from recsys_pipeline.kernels.strings import hash_words
    from recsys_pipeline.transforms.entities import arrow_strings, string_buffers

    return hash_words(*string_buffers(arrow_strings(values)))
