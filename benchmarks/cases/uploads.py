"""A CSV of a million events read, typed and split into valid rows and quarantine."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.data import FOLDER, raw_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TYPES = ("view", "click", "like", "add_to_cart", "purchase")


def csv_file(millions: int) -> Path:
    """Return generated events as CSV, one row in a hundred spoiled."""
    target = FOLDER / f"events-{millions}m.csv"
    if not target.exists():
        rng = random.Random(1)
        events = pl.read_parquet(raw_file(millions)).select(
            "user_id", "item_id", "interaction_type", "timestamp", "rating"
        )
        bad = pl.Series([rng.random() < 0.01 for _ in range(events.height)])
        kind, time = pl.col("interaction_type"), pl.col("timestamp")
        odd = pl.int_range(pl.len()) % 2 == 0
        text = time.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        events.with_columns(
            pl.when(bad & odd).then(pl.lit("wink")).otherwise(kind).alias("interaction_type"),
            pl.when(bad & ~odd).then(pl.lit("yesterday")).otherwise(text).alias("timestamp"),
        ).write_csv(target)
    return target


def ours(millions: int) -> Callable[[], object]:
    """What an ingestion and the split do, duplicates judged too, without the store between them."""
    from recsys_pipeline.ingestion.mapping import load_mapping
    from recsys_pipeline.ingestion.normalise import Receipt, normalise
    from recsys_pipeline.ingestion.readers import read_blocks
    from recsys_pipeline.ingestion.readers.source import open_source
    from recsys_pipeline.transforms.validation import split

    path = csv_file(millions)
    receipt = Receipt(
        tenant="acme",
        batch_id="b",
        source="file:events.csv",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        as_of=None,
        start_date=date(2025, 1, 1),
        known_items=pl.Series("item_id", [], dtype=pl.String),
    )

    def work() -> object:
        mapping = load_mapping(None, "interactions")
        with open_source(str(path)) as source:
            blocks = read_blocks(source, mapping.format)
            landed = pl.concat(normalise(block, mapping, receipt) for block in blocks)
        return split(landed, "interactions")

    return work


def pandas(millions: int) -> Callable[[], object]:
    """Read, parse the times, and mask; duplicates included."""
    import pandas as pd

    path = csv_file(millions)

    def work() -> object:
        events = pd.read_csv(path)
        time = pd.to_datetime(events["timestamp"], errors="coerce", utc=True, format="ISO8601")
        bad = (
            time.isna()
            | ~events["interaction_type"].isin(TYPES)
            | ~(events["rating"].isna() | events["rating"].between(0, 5))
            | ~events["user_id"].str.len().between(1, 255)
            | ~events["item_id"].str.len().between(1, 255)
        )
        good = events[~bad].assign(timestamp=time[~bad])
        repeated = good.duplicated()
        return good[~repeated], pd.concat([events[bad], good[repeated]])

    return work


def duckdb(millions: int) -> Callable[[], object]:
    """Read as text, cast, and split; duplicates included."""
    import duckdb as engine

    path = csv_file(millions)
    kinds = ", ".join(f"'{kind}'" for kind in TYPES)

    def work() -> object:
        connection = engine.connect(config={"threads": 2})
        connection.execute(
            "CREATE TABLE typed AS SELECT *, try_cast(timestamp AS TIMESTAMPTZ) AS moment, "
            f"try_cast(rating AS DOUBLE) AS stars FROM read_csv('{path}', all_varchar = true)"
        )
        bad = (
            f"moment IS NULL OR interaction_type NOT IN ({kinds}) OR NOT stars BETWEEN 0 AND 5 "
            "OR length(user_id) NOT BETWEEN 1 AND 255 OR length(item_id) NOT BETWEEN 1 AND 255"
        )
        connection.execute(
            "CREATE TABLE valid AS SELECT DISTINCT user_id, item_id, interaction_type, moment, stars "
            f"FROM typed WHERE NOT coalesce({bad}, false)"
        )
        return connection.execute(f"CREATE TABLE quarantine AS SELECT * FROM typed WHERE {bad}")

    return work
