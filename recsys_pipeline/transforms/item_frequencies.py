"""How often each item is a positive of the train split: what in-batch logQ correction needs."""

from __future__ import annotations

import numpy as np
import polars as pl

POSITIVES_SCHEMA = {"item_id": pl.String(), "positives": pl.Int64()}
_PENDING_ROWS = 200_000


class PositiveCounts:
    """Counts the positives of each item, from rows in any order and any parts."""

    def __init__(self) -> None:
        self._merged = pl.DataFrame(schema=POSITIVES_SCHEMA)
        self._pending: list[pl.DataFrame] = []
        self._rows = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Take up rows with columns `item_id` and `label`."""
        positives = rows.filter(pl.col("label") == 1)
        counted = positives.group_by("item_id").agg(pl.len().cast(pl.Int64).alias("positives"))
        self._pending.append(counted)
        self._rows += counted.height
        if self._rows > max(_PENDING_ROWS, self._merged.height):
            self._merge()

    def counts(self) -> pl.DataFrame:
        """Return columns `item_id` and `positives` (1 and up), in no order."""
        self._merge()
        return self._merged

    def _merge(self) -> None:
        every = pl.concat([self._merged, *self._pending])
        self._merged = every.group_by("item_id").agg(pl.col("positives").sum())
        self._pending, self._rows = [], 0


def item_frequencies(counts: pl.DataFrame, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return the frequency of every item of a vocabulary.

    Args:
        counts: Columns `item_id` and `positives`, all of the train split.
        vocabulary: The items, see `transforms.vocabularies`.

    Returns:
        Columns `item_id` (null of an erased one), `index`, `positives` (0 where the train split has the
        item as a negative only, or not at all) and `share` = positives / all positives; one row per
        row of the vocabulary, sorted by index.
    """
    found = (
        vocabulary.sort("index")
        .select(pl.col("id").alias("item_id"), "index")
        .join(counts, on="item_id", how="left", maintain_order="left")
        .with_columns(pl.col("positives").fill_null(0))
    )
    # Polars divides by a scalar as a product with its reciprocal: 3/5 would be 0.6000000000000001
    total = np.int64(max(counts["positives"].sum(), 1))
    return found.with_columns(pl.Series("share", found["positives"].to_numpy() / total))
