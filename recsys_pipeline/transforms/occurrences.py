"""Rows that are equal, numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from recsys_pipeline.transforms.arrays import Codes, Ints


def occurrences(*keys: Ints | Codes) -> Ints:
    """Return 0, 1, … within each run of rows that are equal in all keys (int64)."""
    number = np.arange(len(keys[0]))
    begins = np.ones(len(number), np.bool_)
    begins[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return number - np.maximum.accumulate(np.where(begins, number, 0))
