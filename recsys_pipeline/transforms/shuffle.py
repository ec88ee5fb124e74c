"""A shuffle that depends on the rows alone: each row's place is a stable hash of what it says.

Rows are in the order of the hash, and shards are equal ranges of it. So neither the order in which rows
come, nor days, chunks or threads, change where a row stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.transforms.stable_hash import fold, hash_strings, start

if TYPE_CHECKING:
    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.stable_hash import Words

KEY = ("user_id", "item_id", "timestamp", "label")
_HALF = np.uint64(32)


def occurrences(rows: pl.DataFrame) -> pl.Series:
    """Number the rows that share user, item, time and label, from 0, whatever their order.

    Rows that share them are numbered in the order of their other columns; where these are equal too,
    it doesn't matter which is which.

    Args:
        rows: Columns `KEY` and any others. All rows that share a key are in the frame.

    Returns:
        Int64, in the order of rows.
    """
    shared = rows.select(pl.struct(KEY).is_duplicated()).to_series()
    numbers = pl.Series("occurrence", np.zeros(rows.height, np.int64))
    if not shared.any():
        return numbers
    others = [name for name in rows.columns if name not in KEY]
    repeated = (
        rows.with_row_index("row").filter(shared).sort(*KEY, *others, "row", nulls_last=False)
    )
    counted = repeated.select("row", pl.int_range(pl.len()).over(KEY).alias("number"))
    return numbers.scatter(counted["row"], counted["number"])


def shuffle_words(rows: pl.DataFrame, seed: int, split: str) -> Words:
    """Hash what a row says: seed, split, user, item, time, label and occurrence.

    Args:
        rows: Columns `KEY` and `occurrence`.
        seed: Seed of the shuffle, 0 to 2**63 - 1.
        split: The split's folder.

    Returns:
        uint64 array, one word a row.
    """
    state = fold(start(seed), hash_strings(pl.Series([split], dtype=pl.String)))
    words = np.broadcast_to(state, (rows.height,))
    for column in ("user_id", "item_id"):
        words = fold(words, hash_strings(rows[column]))
    words = fold(words, rows["timestamp"].to_physical().to_numpy())
    words = fold(words, rows["label"].cast(pl.Int64).to_numpy())
    return fold(words, rows["occurrence"].to_numpy())


def shard_of(words: Words, shards: int) -> Ints:
    """Return the shard of each word: floor(word * shards / 2**64), from its upper half.

    Args:
        words: uint64 array.
        shards: Their number, 1 to 2**31.
    """
    return (((words >> _HALF) * np.uint64(shards)) >> _HALF).astype(np.int64)


def shuffled(rows: pl.DataFrame) -> pl.DataFrame:
    """Sort rows by their word; should two rows have the same one, by what they say.

    Args:
        rows: Columns `KEY`, `occurrence` and `word`, and any others.
    """
    words = rows["word"].to_numpy()
    order = np.argsort(words)
    if np.any(np.diff(words[order]) == 0):
        return rows.sort("word", *KEY, "occurrence")
    return rows[order]
