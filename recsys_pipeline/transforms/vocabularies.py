"""Vocabularies: the integer index of each id that a train split holds.

0 is padding (there is no id), 1 is out of vocabulary, ids have 2 and up, in the order in which they
were first seen. An index is never given to another id: an erased id leaves a row without id behind.
"""

from __future__ import annotations

import polars as pl

from recsys_pipeline.schemas.keys import UTC_TIME

PADDING = 0
OUT_OF_VOCABULARY = 1
FIRST_INDEX = 2

SEEN_SCHEMA = {"id": pl.String(), "first_seen": UTC_TIME}
VOCABULARY_SCHEMA = {"id": pl.String(), "index": pl.Int64(), "first_seen": UTC_TIME}

# below it, merging what was seen is not worth the while
_PENDING_ROWS = 200_000


class FirstSeen:
    """Gathers ids and the earliest time of each, from rows in any order and any parts."""

    def __init__(self) -> None:
        self._merged = pl.DataFrame(schema=SEEN_SCHEMA)
        self._pending: list[pl.DataFrame] = []
        self._rows = 0

    def add(self, ids: pl.Series, timestamps: pl.Series) -> None:
        """Take up rows: ids (String, nulls are passed over) and their times."""
        rows = pl.DataFrame({"id": ids, "first_seen": timestamps}).filter(
            pl.col("id").is_not_null()
        )
        self._pending.append(_earliest(rows))
        self._rows += self._pending[-1].height
        if self._rows > max(_PENDING_ROWS, self._merged.height):
            self._merge()

    def seen(self) -> pl.DataFrame:
        """Return columns `id` and `first_seen`, one row per id, in no order."""
        self._merge()
        return self._merged

    def _merge(self) -> None:
        self._merged = _earliest(pl.concat([self._merged, *self._pending]))
        self._pending, self._rows = [], 0


def _earliest(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("id").agg(pl.col("first_seen").min())


def fit(seen: pl.DataFrame) -> pl.DataFrame:
    """Give each id an index, in the order of (first seen, id).

    Args:
        seen: Columns `id` (distinct) and `first_seen`.

    Returns:
        Frame of `VOCABULARY_SCHEMA`, sorted by index.
    """
    return extend(pl.DataFrame(schema=VOCABULARY_SCHEMA), seen)


def extend(parent: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Append ids to a vocabulary; those that it has, erased ones included, keep their rows.

    Args:
        parent: Frame of `VOCABULARY_SCHEMA`; a null id is that of an erased one.
        seen: Columns `id` (distinct) and `first_seen`.

    Returns:
        Frame of `VOCABULARY_SCHEMA`, sorted by index.
    """
    after = int(parent["index"].to_numpy().max(initial=FIRST_INDEX - 1)) + 1
    new = (
        seen.join(parent, on="id", how="anti")
        .sort("first_seen", "id")
        .with_columns(pl.int_range(after, after + pl.len(), dtype=pl.Int64).alias("index"))
    )
    return pl.concat([parent.sort("index"), new.select(list(VOCABULARY_SCHEMA))])


def index_of(values: pl.Series, vocabulary: pl.DataFrame) -> pl.Series:
    """Look ids up.

    Args:
        values: Ids (String); null where there is none.
        vocabulary: Frame of `VOCABULARY_SCHEMA`.

    Returns:
        Int64 without nulls: the index, `OUT_OF_VOCABULARY` or `PADDING`.
    """
    known = vocabulary.select("id", "index").filter(pl.col("id").is_not_null())
    found = pl.DataFrame({"id": values}).join(known, on="id", how="left", maintain_order="left")
    return found.select(
        pl.when(pl.col("id").is_null())
        .then(pl.lit(PADDING, pl.Int64))
        .otherwise(pl.col("index").fill_null(OUT_OF_VOCABULARY))
        .alias("index")
    ).to_series()
