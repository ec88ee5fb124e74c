"""Small array helpers of the transforms."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]


def spans(starts: Ints, lengths: Ints) -> Ints:
    """Return the indices start, start + 1, … of every span, one span after the other.

    Args:
        starts: First index of each span.
        lengths: Length of each span, 0 allowed.
    """
    before = np.cumsum(lengths) - lengths
    indices: Ints = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    return indices


def contains(ordered: Ints, values: Ints) -> npt.NDArray[np.bool_]:
    """Tell for each value whether it is in the ascending array."""
    if ordered.size == 0:
        return np.zeros(values.shape, dtype=np.bool_)
    found = np.searchsorted(ordered, values)
    found[found == ordered.size] = 0
    hits: npt.NDArray[np.bool_] = ordered[found] == values
    return hits
