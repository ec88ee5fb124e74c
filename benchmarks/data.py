"""Generated data of the benchmarks, made once and kept in `.bench/`.

Events are the generator's: Zipf users and items, ids as strings, five event types, 90 days.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.generate import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(".bench")
START = date(2025, 1, 1)
DAYS = 90
LAST = START + timedelta(days=DAYS - 1)
# users and items of the larger sizes; else a tenth and a fiftieth of the events
ENTITIES = {50: (2_000_000, 500_000), 100: (4_000_000, 1_000_000)}


def events_file(millions: int) -> Path:
    """Return a Parquet file of validated events in the order of storage; make it if need be.

    A day at a time: the generator writes days in order.
    """
    target = FOLDER / f"events-{millions}m.parquet"
    if not target.exists():
        unfinished = target.with_suffix(".unfinished")
        with ExitStack() as stack:
            writer: pq.ParquetWriter | None = None
            for day in _days(raw_file(millions)):
                table = day.sort("user_id", "timestamp", "item_id").to_arrow()
                if writer is None:
                    options = {"compression": "zstd", "compression_level": 1}
                    writer = pq.ParquetWriter(unfinished, table.schema, **options)
                    stack.callback(writer.close)
                writer.write_table(table)
        unfinished.rename(target)
    return target


def _days(path: Path) -> Iterator[pl.DataFrame]:
    """Yield the events of each day."""
    columns = ["user_id", "item_id", "interaction_type", "timestamp", "rating"]
    waiting: list[pl.DataFrame] = []
    for batch in pq.ParquetFile(path).iter_batches(1_000_000, columns=columns):
        frame = pl.DataFrame(batch).with_columns(pl.col("timestamp").dt.date().alias("date"))
        waiting.append(frame.select("date", *columns))
        parts = pl.concat(waiting).partition_by("date", maintain_order=True)
        yield from parts[:-1]
        waiting = parts[-1:]
    yield from waiting


def raw_file(millions: int) -> Path:
    """Return the generated events as they would be uploaded; make them if need be."""
    folder = FOLDER / f"generated-{millions}m"
    target = folder / "interactions.parquet"
    if not target.exists():
        users, items = ENTITIES.get(millions, (100_000 * millions, 20_000 * millions))
        config = GeneratorConfig(
            users=users,
            items=items,
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
