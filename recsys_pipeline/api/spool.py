"""Bodies on disk: decompressed, hashed and looked at before anything reads rows of them."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from fastapi.concurrency import run_in_threadpool

from recsys_pipeline.api.problems import ApiError
from recsys_pipeline.ingestion.ingest import MAX_COLUMNS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Form = Literal["csv", "json"]

_PREFIX = "recsys-upload-"
_GZIP = b"\x1f\x8b"
_AT_ONCE = 1 << 20
_SLICE = 1 << 16  # of what was sent, so that no call is long
_MEMBERS = 100_000
_HEADER = 1 << 18
_LOOKED_AT = 4096
_BINARY = (
    b"PAR1",
    b"PK\x03\x04",
    b"%PDF",
    b"\x89PNG",
    b"\x28\xb5\x2f\xfd",
    _GZIP,
    b"SQLite format",
)


@dataclass(frozen=True)
class Spooled:
    """A body on disk.

    Attributes:
        path: Its file, plain text.
        content: blake2b hash of it, 64 hexadecimal digits.
        size: Bytes.
    """

    path: Path
    content: str
    size: int


@asynccontextmanager
async def spooled(pieces: AsyncIterator[bytes], form: Form, limit: int) -> AsyncIterator[Spooled]:
    """Write a body to a temporary file, which goes afterwards.

    Args:
        pieces: The body; gzip is known by its first bytes.
        form: What it should be.
        limit: Bytes after decompression.

    Raises:
        ApiError: It is empty, too large, damaged, or not text of that form.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        path = Path(folder) / f"upload.{form}"
        with path.open("wb") as file:
            spool = _Spool(file, form, limit)
            async for piece in pieces:
                for begin in range(0, len(piece), _SLICE):
                    await run_in_threadpool(spool.take, piece[begin : begin + _SLICE])
            await run_in_threadpool(spool.end)
        yield Spooled(path, spool.digest.hexdigest(), spool.size)


def sweep_spools(older_than: float) -> int:
    """Remove what killed processes have left of bodies; return how many.

    Args:
        older_than: Seconds since the last write; longer than any upload takes.
    """
    swept = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except OSError:  # another process has ended meanwhile
            continue
        if newest < time.time() - older_than:
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
    return swept


class _Spool:
    def __init__(self, file: BinaryIO, form: Form, limit: int) -> None:
        self.digest = hashlib.blake2b(digest_size=32)
        self.size = 0
        self._file = file
        self._form = form
        self._limit = limit
        self._start = b""
        self._unzip: zlib._Decompress | None = None
        self._begun = False
        self._early = b""
        self._members = 1

    def take(self, piece: bytes) -> None:
        piece, self._early = self._early + piece, b""
        if not self._begun:
            if len(piece) < len(_GZIP):
                self._early = piece
                return
            self._begun = True
            if piece.startswith(_GZIP):
                self._unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
        if self._unzip is None:
            self._write(piece)
            return
        if self._unzip.eof:  # one file may be several, one after the other
            self._next_member()
        try:
            while True:
                # a few bytes may become gigabytes: no more than a part of them at a time
                text = self._unzip.decompress(piece, _AT_ONCE)
                self._write(text)
                piece = self._unzip.unconsumed_tail
                if self._unzip.eof and self._unzip.unused_data:
                    piece = self._unzip.unused_data
                    self._next_member()
                elif self._unzip.eof or (not piece and len(text) < _AT_ONCE):
                    break
        except zlib.error as error:
            raise ApiError(400, "damaged", f"the gzip data are damaged ({error})") from None

    def _next_member(self) -> None:
        self._members += 1
        if self._members > _MEMBERS:
            raise ApiError(400, "damaged", f"the gzip data are of over {_MEMBERS:,} members")
        self._unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def end(self) -> None:
        if self._early:
            self._write(self._early)
        if self._unzip is not None and not self._unzip.eof:
            raise ApiError(400, "damaged", "the gzip data end early", "Send the whole file")
        if self.size == 0:
            raise ApiError(422, "empty", "the body has no content", "Send rows")
        self._check_start()
        self._check_header()

    def _write(self, text: bytes) -> None:
        self.size += len(text)
        if self.size > self._limit:
            raise ApiError(
                413,
                "too_large",
                f"the content is over {self._limit // 2**20} MiB",
                "Send it in parts, or raise RECSYS_API_MAX_MIB",
            )
        if len(self._start) < _HEADER:
            looked_at = len(self._start) < _LOOKED_AT
            self._start += text[:_HEADER]
            if looked_at and len(self._start) >= _LOOKED_AT:
                self._check_start()
            if len(self._start) >= _HEADER:
                self._check_header()
        self.digest.update(text)
        self._file.write(text)

    def _check_start(self) -> None:
        beginning = self._start[:_LOOKED_AT]
        start = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
        is_utf_16 = self._start.startswith((b"\xff\xfe", b"\xfe\xff"))
        if beginning.startswith(_BINARY) or (b"\0" in beginning and not is_utf_16):
            raise ApiError(415, "not_text", f"the content is not {self._form.upper()} but binary")
        if self._form == "json" and start[:1] not in {b"[", b"{"}:
            raise ApiError(
                415, "not_json", "the content is not JSON", "Send an array or lines of objects"
            )

    def _check_header(self) -> None:
        """Refuse a table of too many columns before a reader makes room for them."""
        if self._form != "csv":
            return
        header = self._start.partition(b"\n")[0]
        columns = 1 + max(header.count(mark) for mark in (b",", b";", b"\t", b"|"))
        if columns > MAX_COLUMNS or len(header) >= _HEADER:
            raise ApiError(
                422, "too_many_columns", f"the first line has over {MAX_COLUMNS:,} columns"
            )
