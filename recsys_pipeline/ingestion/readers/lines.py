"""Text files as chunks of whole physical lines in UTF-8.

A chunk is a few MiB, so that readers can work on it with NumPy and memory stays flat whatever
the size of the file. Bytes that are not text in the file's encoding stay in the chunk as bytes
that are not UTF-8, so that only their line is unreadable.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys_pipeline.ingestion.readers.block import RAW_BYTES
from recsys_pipeline.ingestion.readers.source import READ_BYTES

if TYPE_CHECKING:
    from recsys_pipeline.ingestion.readers.source import ByteStream

CHUNK_BYTES = 8 << 20
MAX_LINE_BYTES = 64 << 20

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is its start
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NEWLINE, _RETURN = 10, 13

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chunk:
    """Consecutive physical lines.

    Attributes:
        data: Their bytes.
        first_line: 1-based number of the first.
        last: True for the file's last chunk.
        torn: True where the chunk is the start of one line too long to be read.
    """

    data: bytes
    first_line: int
    last: bool
    torn: bool = False

    @cached_property
    def array(self) -> npt.NDArray[np.uint8]:
        """The bytes as an array."""
        return np.frombuffer(self.data, np.uint8)

    @cached_property
    def breaks(self) -> Positions:
        """Offsets one past each line's content, its line feed excluded."""
        found = np.flatnonzero(self.array == _NEWLINE)
        if self.data and not self.data.endswith(b"\n"):
            found = np.append(found, len(self.data))
        return found

    @cached_property
    def starts(self) -> Positions:
        """Offset of each line's first byte."""
        return np.concatenate([[0], self.breaks[:-1] + 1]).astype(np.int64)[: len(self.breaks)]

    @cached_property
    def ends(self) -> Positions:
        """Offset one past each line's content, a carriage return before its end excluded."""
        if not len(self.breaks):
            return self.breaks
        before = np.maximum(self.breaks - 1, 0)
        returns = (self.array[before] == _RETURN) & (self.breaks > self.starts)
        ends: Positions = self.breaks - returns
        return ends

    def line(self, index: int) -> bytes:
        """Return the content of a line."""
        return self.data[self.starts[index] : self.ends[index]]

    def number(self, index: int) -> int:
        """Return the 1-based number of a line in the file."""
        return self.first_line + index

    @cached_property
    def not_utf8(self) -> npt.NDArray[np.bool_]:
        """True for each line that is not UTF-8."""
        flags = np.zeros(len(self.breaks), bool)
        try:
            self.data.decode("utf-8")
        except UnicodeDecodeError:
            high = np.flatnonzero(self.array >= 0x80)
            for index in np.unique(np.searchsorted(self.breaks, high)):
                try:
                    self.line(int(index)).decode("utf-8")
                except UnicodeDecodeError:
                    flags[index] = True
        return flags


class TextReader:
    """Decompressed bytes of a file in UTF-8, whatever its encoding.

    Args:
        stream: Decompressed bytes.
        encoding: Encoding of the text; a byte order mark of UTF-16 or UTF-32 overrides it.
    """

    def __init__(self, stream: ByteStream, encoding: str) -> None:
        self._stream = stream
        start = stream.read(READ_BYTES)
        mark = next((m for m in _BOMS if start.startswith(m)), b"")
        encoding = codecs.lookup(_BOMS.get(mark, encoding)).name
        plain = encoding in ("utf-8", "ascii")
        self._decoder = None if plain else codecs.getincrementaldecoder(encoding)(_KEEP)
        self._ended = not start
        self._ready = self._text(start).removeprefix(codecs.BOM_UTF8)

    def read(self, size: int) -> bytes:
        """Return at least `size` bytes, fewer only at the end of the file."""
        parts = [self._ready]
        have = len(self._ready)
        self._ready = b""
        while have < size and not self._ended:
            piece = self._stream.read(READ_BYTES)
            self._ended = not piece
            parts.append(self._text(piece))
            have += len(parts[-1])
        return b"".join(parts)

    def _text(self, piece: bytes) -> bytes:
        if self._decoder is None:
            return piece
        text = self._decoder.decode(piece, final=not piece)
        return text.encode("utf-8", "surrogateescape")


class LineReader:
    """Cuts text into chunks of whole lines.

    Args:
        stream: Decompressed bytes.
        encoding: See `TextReader`.
        swap: What to put in place of what, in every line.
    """

    def __init__(
        self, stream: ByteStream, encoding: str, swap: tuple[bytes, bytes] | None = None
    ) -> None:
        self._swap = swap
        self._text = TextReader(stream, encoding)
        self._rest = self._text.read(CHUNK_BYTES)
        self._line = 1
        # files of old Macs end their lines with a carriage return alone
        self._returns = b"\r" in self._rest[:-1] and b"\n" not in self._rest
        if self._returns:
            self._rest = self._rest.replace(b"\r", b"\n")

    def read(self) -> Chunk | None:
        """Return the next chunk, None at the end of the file."""
        data = self._rest
        while True:
            more = self._read()
            data += more
            if not more:
                self._rest = b""
                return self._chunk(data, last=True) if data else None
            end = data.rfind(b"\n") + 1
            if end:
                self._rest = data[end:]
                return self._chunk(data[:end], last=False)
            if len(data) > MAX_LINE_BYTES:
                return self._torn(data)

    def push_back(self, chunk: Chunk, index: int) -> None:
        """Give back the lines of the chunk from `index` on; they start the next one."""
        start = chunk.starts[index] if index < len(chunk.breaks) else len(chunk.data)
        self._rest = chunk.data[start:] + self._rest
        self._line = chunk.number(index)

    def _chunk(self, data: bytes, *, last: bool) -> Chunk:
        if self._swap is not None:
            data = data.replace(*self._swap)
        chunk = Chunk(data, self._line, last)
        self._line += len(chunk.breaks)
        return chunk

    def _torn(self, data: bytes) -> Chunk:
        """Skip to the end of a line that is longer than memory allows."""
        chunk = Chunk(data[:RAW_BYTES], self._line, last=False, torn=True)
        self._line += 1
        self._rest = b""
        while more := self._read():
            found = more.find(b"\n")
            if found >= 0:
                self._rest = more[found + 1 :]
                break
        return chunk

    def _read(self) -> bytes:
        more = self._text.read(CHUNK_BYTES)
        return more.replace(b"\r", b"\n") if self._returns else more


_KEEP = "recsys_keep_bytes"


def _keep_bytes(error: UnicodeError) -> tuple[str, int]:
    """Decode what is no text to characters that encode back to bytes that are not UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    # 0xFF is in no UTF-8 text; without it some wrong bytes would happen to be
    kept = "".join(chr(0xDC00 + b) if b >= 0x80 else chr(b) for b in wrong)
    return "\udcff" + kept.replace("\n", "").replace("\r", ""), error.end


codecs.register_error(_KEEP, _keep_bytes)
