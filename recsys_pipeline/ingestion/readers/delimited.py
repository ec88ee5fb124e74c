"""CSV and TSV.

Lines are judged in bulk with NumPy: a line is *plain* when it is UTF-8, its quotes enclose whole
fields and it has the right number of fields. Plain lines go to Arrow's parser as they are. Each
other line is parsed by itself, with the lines after it where a quoted field goes on; if that
fails, that one physical line is unreadable, and an unterminated quote costs no line after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv

from recsys_pipeline.errors import ContractError, SourceError
from recsys_pipeline.ingestion.readers.block import Block, positions_series, unreadable_frame
from recsys_pipeline.ingestion.readers.lines import Chunk, LineReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recsys_pipeline.ingestion.mapping import Format
    from recsys_pipeline.ingestion.readers.source import Source

MAX_RECORD_BYTES = 16 << 20
_DELIMITERS = ",\t;|"
_ARROW_BLOCK = 1 << 20
_SEPARATOR = b"\x1f"  # ASCII's own, in place of a delimiter of several characters

Flags = npt.NDArray[np.bool_]


def read_delimited(source: Source, form: Format) -> Iterator[Block]:
    """Read a delimited file in blocks of a few MiB.

    Args:
        source: The file.
        form: Delimiter, quote, header and encoding. Without a delimiter it is the tab for
            `.tsv`, else the most frequent of comma, tab, semicolon and bar in the first line.

    Yields:
        At least one block, so that the columns of a file without rows can be checked.

    Raises:
        SourceError: There is no header, it names a column twice, or the file is damaged.
    """
    stream = source.open()
    try:
        several = form.delimiter.encode() if form.delimiter and len(form.delimiter) > 1 else None
        lines = LineReader(stream, form.encoding, (several, _SEPARATOR) if several else None)
        chunk = lines.read()
        while chunk is not None and not (chunk.ends > chunk.starts).any():
            chunk = lines.read()
        if chunk is None or chunk.torn:
            raise SourceError(source.name, "has no readable first line", "Check what wrote it")
        first = int(np.flatnonzero(chunk.ends > chunk.starts)[0])
        delimiter = form.delimiter or _sniff(chunk.line(first), source)
        dialect = _Dialect(_SEPARATOR if several else delimiter.encode(), form.quote.encode())
        if form.columns is not None:
            names = list(form.columns)
            lines.push_back(chunk, first)
        else:
            names, after = _header(chunk, first, dialect, source)
            lines.push_back(chunk, after)
        parser = _Parser(names, dialect, several)
        yield Block(
            pl.DataFrame(schema=dict.fromkeys(names, pl.String)),
            positions_series([]),
            unreadable_frame([]),
            complete=True,
            consumed=stream.consumed,
        )
        while (chunk := lines.read()) is not None:
            yield parser.block(chunk, lines, stream.consumed)
    finally:
        stream.close()


@dataclass(frozen=True)
class _Dialect:
    delimiter: bytes
    quote: bytes

    def record(self, data: bytes, start: int) -> tuple[list[bytes] | None, int]:
        """Parse the record at `start`, over line breaks inside quotes.

        Returns:
            Its fields and the offset one past its content. The fields are None where a quoted
            field does not end (the offset is the end of the data), or goes on after its closing
            quote.
        """
        fields: list[bytes] = []
        at = start
        while True:
            if self.quote and data[at : at + 1] == self.quote:
                close = self._closing(data, at + 1)
                if close < 0:
                    return None, len(data)
                value = data[at + 1 : close].replace(self.quote * 2, self.quote)
                at = close + 1
            else:
                end = data.find(b"\n", at)
                end = len(data) if end < 0 else end
                stop = data.find(self.delimiter, at, end)
                if stop < 0:
                    stop = end - 1 if data[end - 1 : end] == b"\r" and end > at else end
                value = data[at:stop]
                at = stop
            fields.append(value)
            if data.startswith(self.delimiter, at):
                at += 1
            elif data[at : at + 2] in (b"", b"\r", b"\r\n") or data[at : at + 1] == b"\n":
                return fields, at
            else:
                return None, at

    def _closing(self, data: bytes, at: int) -> int:
        while True:
            close = data.find(self.quote, at)
            if close < 0 or data[close + 1 : close + 2] != self.quote:
                return close
            at = close + 2


class _Parser:
    def __init__(self, names: list[str], dialect: _Dialect, several: bytes | None) -> None:
        self._several = several
        self._names = names
        self._dialect = dialect
        self._keys = [f"c{i}" for i in range(len(names))]

    def block(self, chunk: Chunk, lines: LineReader, consumed: int) -> Block:
        """Parse a chunk; lines of a record that it cuts off go back to the reader."""
        if chunk.torn:
            bad = [(chunk.number(0), chunk.data)]
            return self._block(self._rows([]), [], unreadable_frame(bad), consumed)
        used = len(chunk.breaks)
        filled = chunk.ends > chunk.starts
        plain = self._plain(chunk) & filled
        extra: list[tuple[int, list[str | None]]] = []
        bad = []
        done = 0
        for index in np.flatnonzero(filled & ~plain).tolist():
            if index < done:
                continue
            outcome = self._record(chunk, index)
            if outcome is None:
                lines.push_back(chunk, index)
                used = index
                break
            fields, done = outcome
            plain[index:done] = False
            if fields is None:
                bad.append((chunk.number(index), self._as_sent(chunk.line(index))))
            else:
                extra.append((chunk.number(index), fields))
        plain[used:] = False
        rows = self._arrow(chunk, plain)
        positions = chunk.first_line + np.flatnonzero(plain)
        if extra:
            rows = pl.concat([rows, self._rows([fields for _, fields in extra])])
            positions = np.concatenate([positions, [number for number, _ in extra]])
            order = np.argsort(positions, kind="stable")
            rows, positions = rows[order], positions[order]
        return self._block(rows, positions, unreadable_frame(bad), consumed)

    def _as_sent(self, line: bytes) -> bytes:
        return line if self._several is None else line.replace(_SEPARATOR, self._several)

    def _block(
        self, rows: pl.DataFrame, positions: Iterable[int], unreadable: pl.DataFrame, consumed: int
    ) -> Block:
        return Block(
            rows, positions_series(positions), unreadable, complete=True, consumed=consumed
        )

    def _rows(self, records: list[list[str | None]]) -> pl.DataFrame:
        return pl.DataFrame(records, schema=dict.fromkeys(self._names, pl.String), orient="row")

    def _plain(self, chunk: Chunk) -> Flags:
        """Tell which lines Arrow can be trusted with."""
        array, starts, breaks = chunk.array, chunk.starts, chunk.breaks
        plain = ~chunk.not_utf8
        returns = np.flatnonzero(array == ord("\r"))
        inner = returns[returns < chunk.ends[np.searchsorted(breaks, returns)]]
        plain[np.searchsorted(breaks, inner)] = False
        delimiters = np.flatnonzero(array == self._dialect.delimiter[0])
        quote = self._dialect.quote
        quotes = np.flatnonzero(array == quote[0]) if quote else np.empty(0, np.int64)
        if len(quotes):
            line = np.searchsorted(breaks, quotes)
            before = np.searchsorted(quotes, starts)
            ordinal = np.arange(len(quotes)) - before[line]
            plain[line[self._stray(chunk, quotes, line, ordinal)]] = False
            odd = np.bincount(line, minlength=len(breaks)) % 2 == 1
            plain[odd] = False
            at = np.searchsorted(breaks, delimiters)
            inside = (np.searchsorted(quotes, delimiters) - before[at]) % 2 == 1
            delimiters = delimiters[~inside]
        counts = np.searchsorted(delimiters, breaks) - np.searchsorted(delimiters, starts)
        plain[counts != len(self._names) - 1] = False
        return plain

    def _stray(
        self,
        chunk: Chunk,
        quotes: npt.NDArray[np.int64],
        line: npt.NDArray[np.int64],
        ordinal: npt.NDArray[np.int64],
    ) -> Flags:
        """Tell which quotes neither open a field, nor close one, nor are a pair inside one."""
        padded = np.concatenate([[10], chunk.array, [10]]).astype(np.uint8)
        left, right = padded[quotes], padded[quotes + 2]
        delimiter, quote = self._dialect.delimiter[0], self._dialect.quote[0]
        opening = ordinal % 2 == 0
        opens = (quotes == chunk.starts[line]) | (left == delimiter)
        pairs = np.concatenate([[False], np.diff(quotes) == 1]) & (left == quote) & (ordinal > 0)
        closes = (quotes + 1 == chunk.ends[line]) | (right == delimiter) | (right == quote)
        stray: Flags = np.where(opening, ~(opens | pairs), ~closes)
        return stray

    def _record(self, chunk: Chunk, index: int) -> tuple[list[str | None] | None, int] | None:
        """Parse one record that is not plain.

        Returns:
            Its fields, None when unreadable, and the index of the line after it; None when the
            record may go on in the next chunk.
        """
        start = int(chunk.starts[index])
        fields, end = self._dialect.record(chunk.data, start)
        if fields is None:
            open_ended = end == len(chunk.data) and not chunk.last
            if open_ended and end - start < MAX_RECORD_BYTES:
                return None
            return None, index + 1
        try:
            texts = [field.decode("utf-8") or None for field in fields]
        except UnicodeDecodeError:
            return None, index + 1
        if len(texts) != len(self._names):
            return None, index + 1
        return texts, int(np.searchsorted(chunk.breaks, end)) + 1

    def _arrow(self, chunk: Chunk, plain: Flags) -> pl.DataFrame:
        count = int(plain.sum())
        if count == 0:
            return self._rows([])
        data, longest = _selected(chunk, plain)
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                column_names=self._keys,
                block_size=_ARROW_BLOCK if longest < _ARROW_BLOCK // 2 else len(data) + 1,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._dialect.delimiter.decode(),
                quote_char=self._dialect.quote.decode() or False,
            ),
            convert_options=arrow_csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(self._keys, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        frame = pl.from_arrow(table)
        if not isinstance(frame, pl.DataFrame) or frame.height != count:
            raise ContractError("CSV parser", f"read {table.num_rows} rows in {count} plain lines")
        frame.columns = self._names
        return frame


def _selected(chunk: Chunk, plain: Flags) -> tuple[bytes, int]:
    """Return the bytes of the flagged lines, and the length of the longest."""
    longest = int((chunk.breaks - chunk.starts)[plain].max())
    filled = chunk.ends > chunk.starts
    if bool((plain | ~filled).all()):
        return chunk.data, longest
    edges = np.diff(np.concatenate([[0], plain.view(np.int8), [0]]))
    runs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)
    pieces = (chunk.data[chunk.starts[a] : chunk.breaks[b]] for a, b in runs)
    return b"\n".join(pieces) + b"\n", longest


def _sniff(line: bytes, source: Source) -> str:
    if source.extension in (".tsv", ".tab"):
        return "\t"
    return max(_DELIMITERS, key=lambda d: line.count(d.encode()))


def _header(chunk: Chunk, first: int, dialect: _Dialect, source: Source) -> tuple[list[str], int]:
    fields, end = dialect.record(chunk.data, int(chunk.starts[first]))
    culprit = f"{source.name} line {chunk.number(first)}"
    if fields is None:
        raise SourceError(culprit, "is no header (an open quote)", "Mend it, or set header = false")
    try:
        names = [field.decode("utf-8").strip() for field in fields]
    except UnicodeDecodeError:
        raise SourceError(
            culprit, "is not UTF-8", 'Give a mapping with [format] encoding = "latin-1"'
        ) from None
    names = [name or f"column_{i}" for i, name in enumerate(names, start=1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SourceError(
            culprit, f"names the column {twice!r} twice", "Rename one of them in the file"
        )
    return names, int(np.searchsorted(chunk.breaks, end)) + 1
