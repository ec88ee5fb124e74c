"""Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import polars as pl
import pyarrow as pa

from recsys_pipeline.errors import SourceError
from recsys_pipeline.ingestion.readers.block import Block, positions_series, unreadable_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.ingestion.readers.source import Source

BATCH_ROWS = 131_072


def read_parquet(source: Source) -> Iterator[Block]:
    """Read a Parquet file batch by batch; positions count rows.

    Numbers and booleans become their text, nested values their JSON text; times stay times.

    Raises:
        SourceError: The file is compressed as a whole, damaged, or names a column twice.
    """
    import pyarrow.parquet as pq

    if source.compression:
        raise SourceError(
            source.name, f"is Parquet inside {source.compression}", "Decompress it first"
        )
    try:
        with pq.ParquetFile(source.path, memory_map=True) as file:
            names = file.schema_arrow.names
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise SourceError(
                    source.name, f"names the column {twice!r} twice", "Rename one of them"
                )
            yield _block(pa.table(file.schema_arrow.empty_table()), 0, 0)
            done = 0
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                share = (done + batch.num_rows) / max(file.metadata.num_rows, 1)
                yield _block(pa.table(batch), done, int(source.size * share))
                done += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise SourceError(
            source.name, f"is not a whole Parquet file ({reason})", "Copy it again"
        ) from None


def _block(table: pa.Table, done: int, consumed: int) -> Block:
    columns = {
        name: _column(column.combine_chunks())
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    frame = pl.DataFrame(columns) if columns else pl.DataFrame(height=table.num_rows)
    positions = positions_series(range(done + 1, done + 1 + table.num_rows))
    return Block(frame, positions, unreadable_frame([]), complete=True, consumed=consumed)


def _column(values: Any) -> pl.Series:  # noqa: ANN401  # pyarrow ships no types
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_timestamp(kind):
        return pl.Series(values).cast(pl.Datetime("us", kind.tz), strict=False)
    if pa.types.is_date(kind):
        return pl.Series(values).cast(pl.Datetime("us"), strict=False)
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(test(kind) for test in (*simple, pa.types.is_integer, pa.types.is_boolean)):
        return pl.Series(values).cast(pl.String)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pl.Series(values).cast(pl.String)
    return pl.Series([_text(value) for value in values.to_pylist()], dtype=pl.String)


def _text(value: Any) -> str | None:  # noqa: ANN401  # any value of a cell
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if not isinstance(value, dict | list):
        return str(value)
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
