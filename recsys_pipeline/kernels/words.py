"""The stable hash and its range reduction, for kernels (`transforms.stable_hash` says which)."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import inner

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_S27, _S30, _S31, _S32 = (np.uint64(n) for n in (27, 30, 31, 32))


@inner
def fold(state: np.uint64, word: np.uint64) -> np.uint64:
    """Return the state with a word folded in."""
    mixed = (state ^ word) + _GOLDEN
    mixed = (mixed ^ (mixed >> _S30)) * _FIRST
    mixed = (mixed ^ (mixed >> _S27)) * _SECOND
    return mixed ^ (mixed >> _S31)


@inner
def scaled(word: np.uint64, bound: np.uint64) -> np.int64:
    """Return floor(word * bound / 2**64)."""
    high, low = word >> _S32, word & _LOW
    above, below = bound >> _S32, bound & _LOW
    middle = high * below + ((low * below) >> _S32)
    carry = (low * above + (middle & _LOW)) >> _S32
    return np.int64(high * above + (middle >> _S32) + carry)
