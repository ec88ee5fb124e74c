"""What every reader yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

RAW_BYTES = 64 * 1024
UNREADABLE_SCHEMA = pl.Schema({"position": pl.Int64, "text": pl.String})


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
        rows: Readable rows, one String column per column of the file; a time that a Parquet
            file itself types stays a Datetime. Null means absent.
        positions: Int64, one per row: 1-based physical line, or row number where a file has no
            lines (JSON array, Parquet).
        unreadable: Columns `position` and `text` (its first 64 KiB): what is no row.
        complete: True where `rows` has every column of the file (CSV, Parquet); objects of JSON
            may leave some out.
        consumed: Stored (compressed) bytes of the file read so far.
    """

    rows: pl.DataFrame
    positions: pl.Series
    unreadable: pl.DataFrame
    complete: bool
    consumed: int


def unreadable_frame(lines: list[tuple[int, bytes]]) -> pl.DataFrame:
    """Return unreadable lines as a frame; bytes that are not UTF-8 are escaped."""
    return pl.DataFrame(
        {"position": [n for n, _ in lines], "text": [text_of(t) for _, t in lines]},
        schema=UNREADABLE_SCHEMA,
    )


def text_of(data: bytes) -> str:
    """Return at most `RAW_BYTES` bytes of UTF-8 text."""
    return cut(data[:RAW_BYTES].decode("utf-8", "backslashreplace"))


def cut(text: str) -> str:
    """Return the longest start of the text that has at most `RAW_BYTES` bytes."""
    if len(text) * 4 <= RAW_BYTES:
        return text
    return text.encode()[:RAW_BYTES].decode("utf-8", "ignore")


def positions_series(values: Iterable[int]) -> pl.Series:
    """Return positions as an Int64 series."""
    return pl.Series("position", values, dtype=pl.Int64)


def unreadable_block(unreadable: pl.DataFrame, consumed: int) -> Block:
    """Return a block of unreadable lines alone."""
    return Block(
        pl.DataFrame(), positions_series([]), unreadable, complete=False, consumed=consumed
    )
