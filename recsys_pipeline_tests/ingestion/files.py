"""Files for tests of ingestion, and how they are read without landing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.ingestion.mapping import Mapping, load_mapping, parse_mapping
from recsys_pipeline.ingestion.normalise import Receipt, normalise
from recsys_pipeline.ingestion.readers import read_blocks
from recsys_pipeline.ingestion.readers.source import open_source

if TYPE_CHECKING:
    from pathlib import Path

RECEIVED = datetime(2025, 6, 1, 12, tzinfo=UTC)
START = date(2025, 1, 1)
HEADER = "user_id,item_id,interaction_type,timestamp\n"
GOOD = "u1,i1,view,2025-05-01T10:00:00Z\n"


def receipt(**values) -> Receipt:
    known = {
        "tenant": "acme",
        "batch_id": "batch-1",
        "source": "file:test",
        "received_at": RECEIVED,
        "as_of": None,
        "start_date": START,
        "known_items": pl.Series("item_id", [], dtype=pl.String),
    }
    return Receipt(**(known | values))


def mapping_of(text: str | None, kind="interactions") -> Mapping:
    return load_mapping(None, kind) if text is None else parse_mapping(text, "test.toml", kind)


def write(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def blocks_of(path: str, mapping: Mapping | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a file's rows with their positions as `#`, and its unreadable lines."""
    form = (mapping or mapping_of(None)).format
    with open_source(path) as source:
        blocks = list(read_blocks(source, form))
    rows = [b.rows.with_columns(b.positions.alias("#")) for b in blocks if b.rows.height]
    return (
        pl.concat(rows, how="diagonal") if rows else pl.DataFrame(),
        pl.concat([b.unreadable for b in blocks]),
    )


def landed_of(path: str, mapping: Mapping | None = None, **values) -> pl.DataFrame:
    """Return the landing rows of a file in order of position."""
    mapping = mapping or mapping_of(None)
    with open_source(path) as source:
        made = [
            normalise(block, mapping, receipt(**values))
            for block in read_blocks(source, mapping.format)
        ]
    return pl.concat(made).sort("position")
