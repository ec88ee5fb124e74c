"""Rows to files, block by block; the bytes don't depend on how rows are cut into blocks."""

from __future__ import annotations

import csv
import gzip
import io
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import polars as pl
import polars.selectors as cs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

    from recsys_pipeline.generator.config import Compression, FileFormat

Row = dict[str, Any]

ROW_GROUP = 262_144
_GZIP_LEVEL, _ZSTD_LEVEL, _PARQUET_ZSTD_LEVEL = 3, 3, 1
# sequential ids: a dictionary of them would be larger than they are
_DELTA_COLUMNS = {"event_id": "DELTA_BYTE_ARRAY", "timestamp": "DELTA_BINARY_PACKED"}


@dataclass(frozen=True)
class Insert:
    """A row to put between the rows of a block.

    Attributes:
        before: Row of the block before which it comes; the block's length puts it at the end.
        row: Cells by column, or (text formats only) the bytes of the whole line.
    """

    before: int
    row: Row | bytes


class TableWriter(Protocol):
    """Writes one file."""

    def write(self, frame: pl.DataFrame, inserts: Sequence[Insert] = ()) -> None:
        """Append a block; `inserts` are in order of `before`."""

    def close(self) -> None:
        """Finish the file."""


def open_writer(path: Path, file_format: FileFormat, codec: Compression) -> TableWriter:
    """Open a writer for a new file; it works while the next block is made."""
    if file_format == "parquet":
        return _BehindWriter(ParquetTableWriter(path, codec))
    return _BehindWriter(TextTableWriter(path, file_format, codec))


class _BehindWriter:
    """Hands blocks to another writer's thread, at most one ahead of it."""

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, "writer")
        self._pending: Future[None] | None = None

    def write(self, frame: pl.DataFrame, inserts: Sequence[Insert] = ()) -> None:
        """Append a block; what failed on the block before it is raised here."""
        self._wait()
        self._pending = self._thread.submit(self._writer.write, frame, inserts)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Finish the file."""
        try:
            self._wait()
        finally:
            self._thread.shutdown()
            self._writer.close()


def encode_row(row: Row, file_format: FileFormat) -> bytes:
    """Return the line of one row as the writers write it, without the line break."""
    if file_format == "jsonl":
        return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(row.values())
    return buffer.getvalue().encode()


class TextTableWriter:
    """CSV with a header, or JSON lines; plain, gzip or zstd."""

    def __init__(self, path: Path, file_format: FileFormat, codec: Compression) -> None:
        self._format = file_format
        self._headed = file_format == "jsonl"
        self._file = path.open("wb")
        self._stream = _compressed(self._file, codec)

    def write(self, frame: pl.DataFrame, inserts: Sequence[Insert] = ()) -> None:
        """Append a block; `inserts` are in order of `before`."""
        buffer = io.BytesIO()
        if not self._headed:
            buffer.write(encode_row({name: name for name in frame.columns}, "csv") + b"\n")
            self._headed = True
        first_line = len(buffer.getvalue())
        if self._format == "csv":
            frame.write_csv(buffer, include_header=False)
        else:
            frame.write_ndjson(buffer)
        text = buffer.getbuffer()
        if not inserts:
            self._stream.write(text)
            return
        ends = np.flatnonzero(np.frombuffer(text, np.uint8)[first_line:] == ord("\n")) + 1
        starts = np.concatenate([[0], ends]) + first_line
        done = 0
        for insert in inserts:
            start = int(starts[insert.before])
            self._stream.write(text[done:start])
            done = start
            line = insert.row
            if not isinstance(line, bytes):
                line = encode_row(line, self._format)
            self._stream.write(line + b"\n")
        self._stream.write(text[done:])

    def close(self) -> None:
        """Finish the compressed stream and the file."""
        if self._stream is not self._file:
            self._stream.close()
        self._file.close()


def _compressed(file: IO[bytes], codec: Compression) -> IO[bytes]:
    if codec == "gzip":
        # neither name nor time in the header: the same rows give the same bytes
        stream = gzip.GzipFile("", "wb", _GZIP_LEVEL, cast("Any", file), mtime=0)
        return cast("IO[bytes]", stream)
    if codec == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).stream_writer(file, closefd=False)
    return file


class ParquetTableWriter:
    """Parquet with row groups of `ROW_GROUP` rows, whatever the size of the blocks."""

    def __init__(self, path: Path, codec: Compression) -> None:
        self._path = path
        self._codec = codec
        self._held: list[pl.DataFrame] = []
        self._rows = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, frame: pl.DataFrame, inserts: Sequence[Insert] = ()) -> None:
        """Append a block; `inserts` are in order of `before`."""
        if inserts:
            frame = _interleave(frame, inserts)
        self._held.append(frame)
        self._rows += frame.height
        if self._rows >= ROW_GROUP:
            held = pl.concat(self._held)
            whole = self._rows - self._rows % ROW_GROUP
            self._flush(held[:whole])
            self._held = [held[whole:]]
            self._rows -= whole

    def _flush(self, frame: pl.DataFrame) -> None:
        table = frame.to_arrow()
        writer = self._writer or self._open(table.schema)
        writer.write_table(table, row_group_size=ROW_GROUP)

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        import pyarrow.parquet as pq

        delta = {name: code for name, code in _DELTA_COLUMNS.items() if name in schema.names}
        self._writer = pq.ParquetWriter(
            self._path,
            schema,
            compression=self._codec,
            compression_level=_PARQUET_ZSTD_LEVEL if self._codec == "zstd" else None,
            use_dictionary=[name for name in schema.names if name not in delta],
            column_encoding=delta,
            store_schema=False,
        )
        return self._writer

    def close(self) -> None:
        """Write the rest and the footer."""
        if self._held:
            self._flush(pl.concat(self._held))
        if self._writer is not None:
            self._writer.close()


def _interleave(frame: pl.DataFrame, inserts: Sequence[Insert]) -> pl.DataFrame:
    rows = [insert.row for insert in inserts if not isinstance(insert.row, bytes)]
    cells: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in frame.columns}
    for name in frame.select(cs.datetime()).columns:
        cells[name] = [
            datetime.fromisoformat(cell) if isinstance(cell, str) else cell for cell in cells[name]
        ]
    added = pl.DataFrame(cells, schema=frame.schema)
    order = np.insert(
        np.arange(frame.height),
        [insert.before for insert in inserts],
        frame.height + np.arange(added.height),
    )
    return pl.concat([frame, added])[order]
