"""Files as messages of a topic: what `messages.py` reads again on landing.

Column names and values stay the file's own, because the tenant's mapping is applied on landing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import polars.selectors as cs

from recsys_pipeline.ingestion.readers import read_blocks
from recsys_pipeline.ingestion.readers.lines import LineReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from recsys_pipeline.ingestion.mapping import Kind, Mapping
    from recsys_pipeline.ingestion.readers.source import Source

# orjson's bytes hold 4 KiB each, however short they are
ROWS = 10_000
KEYS: dict[Kind, str] = {"interactions": "user_id", "items": "item_id"}


@dataclass(frozen=True)
class FileMessages:
    """Messages of some rows of a file.

    Attributes:
        values: Their values.
        keys: The user of each event or the id of each item; None where it can't be told.
        consumed: Stored (compressed) bytes of the file read so far.
    """

    values: list[bytes]
    keys: list[str | None]
    consumed: int


def file_messages(source: Source, mapping: Mapping) -> Iterator[FileMessages]:
    """Read a file as messages; memory stays flat whatever its size.

    A line of JSON lines is a message as it stands, in UTF-8, readable or not. A row of another
    format becomes a JSON object of texts without what is null; a time that Parquet types becomes
    ISO 8601. A line of theirs that is no row is a message of its text (64 KiB at most), so that it
    reaches quarantine.

    Args:
        source: The file.
        mapping: Says how its text is cut into fields, and which column holds the key.

    Raises:
        SourceError: The file is damaged, or its header can't be read.
    """
    key = KEYS[mapping.kind]
    column = mapping.columns.get(key, key)
    if source.format == "json_lines":
        yield from _lines(source, mapping.format.encoding, column)
        return
    before = 0
    for block in read_blocks(source, mapping.format):
        done = 0
        for rows in block.rows.iter_slices(ROWS):
            done += rows.height
            consumed = before + (block.consumed - before) * done // block.rows.height
            yield FileMessages(*_objects(rows, column), consumed)
        bad = [text.encode() for text in block.unreadable["text"]]
        yield FileMessages(bad, [None] * len(bad), block.consumed)
        before = block.consumed


def _lines(source: Source, encoding: str, column: str) -> Iterator[FileMessages]:
    stream = source.open()
    try:
        lines = LineReader(stream, encoding)
        while (chunk := lines.read()) is not None:
            if chunk.torn:
                yield FileMessages([chunk.data], [None], stream.consumed)
                continue
            filled = np.flatnonzero(chunk.ends > chunk.starts)
            bounds = zip(chunk.starts[filled].tolist(), chunk.ends[filled].tolist(), strict=True)
            values = [chunk.data[start:end] for start, end in bounds]
            yield FileMessages(values, [_key(value, column) for value in values], stream.consumed)
    finally:
        stream.close()


def _key(line: bytes, column: str) -> str | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    value = found.get(column) if isinstance(found, dict) else None
    return str(value) if isinstance(value, str | int) else None


def _objects(rows: pl.DataFrame, column: str) -> tuple[list[bytes], list[str | None]]:
    texts = rows.with_columns(cs.datetime().dt.to_string("iso:strict"))
    values = [orjson.dumps(_present(row)) for row in texts.iter_rows(named=True)]
    keys: list[str | None] = [None] * len(values)
    return values, texts[column].to_list() if column in texts.columns else keys


def _present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
