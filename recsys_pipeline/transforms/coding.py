"""Dense integer codes for (tenant, id) pairs, in the order of the strings they stand for.

A code is the row of its pair in a sorted vocabulary, so sorting by code is sorting by
(tenant, id), and a tenant's codes are one contiguous range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence


def vocabulary(frames: Sequence[pl.LazyFrame], column: str) -> pl.DataFrame:
    """Return the distinct (tenant, id) pairs of the frames, sorted; a pair's row is its code.

    Args:
        frames: Frames with the String columns `tenant` and `column`.
        column: Name of the id column.
    """
    pairs = [frame.select("tenant", column).unique() for frame in frames]
    return pl.concat(pairs).unique().sort("tenant", column).collect()


def with_code(frame: pl.LazyFrame, words: pl.DataFrame, column: str, name: str) -> pl.LazyFrame:
    """Replace the id column by its code.

    Args:
        frame: Frame with `tenant` and `column`.
        words: Vocabulary of `column` that has all pairs of the frame.
        column: Name of the id column, dropped.
        name: Name of the new UInt32 column.

    Returns:
        The frame with the code; the order of its rows is not kept.
    """
    codes = words.lazy().with_row_index(name)
    return frame.join(codes, on=["tenant", column], how="inner").drop(column)
