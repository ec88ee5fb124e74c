"""Generated data of the benchmarks, made once and kept in `.bench/`.

Events are the generator's: Zipf users and items, ids as strings, five event types, 90 days.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl

from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.generate import generate

FOLDER = Path(".bench")
START = date(2025, 1, 1)
DAYS = 90
LAST = START + timedelta(days=DAYS - 1)


def events_file(millions: int) -> Path:
    """Return a Parquet file of validated events in the order of storage; make it if need be."""
    target = FOLDER / f"events-{millions}m.parquet"
    if not target.exists():
        raw = raw_file(millions)
        day = pl.col("timestamp").dt.date().alias("date")
        columns = ["date", "user_id", "item_id", "interaction_type", "timestamp", "rating"]
        frame = pl.scan_parquet(raw).with_columns(day).select(columns)
        order = ["date", "user_id", "timestamp", "item_id"]
        unfinished = target.with_suffix(".unfinished")
        frame.sort(order).sink_parquet(unfinished, compression="zstd", compression_level=1)
        unfinished.rename(target)
    return target


def raw_file(millions: int) -> Path:
    """Return the generated events as they would be uploaded; make them if need be."""
    folder = FOLDER / f"generated-{millions}m"
    target = folder / "interactions.parquet"
    if not target.exists():
        config = GeneratorConfig(
            users=100_000 * millions,
            items=20_000 * millions,
            events=1_000_000 * millions,
            start=START,
            days=DAYS,
            event_ids=False,
            file_format="parquet",
        )
        generate(config, folder)
    return target


def items_file(millions: int) -> Path:
    """Return the generated catalogue."""
    raw_file(millions)
    return FOLDER / f"generated-{millions}m" / "items.parquet"


def coded_file(millions: int) -> Path:
    """Return the events with integer codes in the place of ids."""
    target = FOLDER / f"coded-{millions}m.parquet"
    if not target.exists():
        frame = pl.scan_parquet(events_file(millions)).select(
            pl.col("user_id").str.slice(1).cast(pl.UInt32).alias("user"),
            pl.col("item_id").str.slice(1).cast(pl.UInt32).alias("item"),
            pl.col("interaction_type").cast(pl.Categorical).to_physical().alias("type"),
            "timestamp",
            "rating",
        )
        frame.sink_parquet(target)
    return target
