"""Input files: where they lie, how they are compressed, what format they are in.

A source is a regular local file or an `s3://bucket/key`, which is copied to a temporary file
first. Bytes are read once for the content hash and once for the rows.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from recsys_pipeline.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Format = Literal["csv", "json_lines", "json_array", "parquet"]

READ_BYTES = 1 << 20

_EXTENSIONS: dict[str, Format | None] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "json_lines",
    ".ndjson": "json_lines",
    ".parquet": "parquet",
    ".json": None,  # an array or lines: its first character tells
}
_COMPRESSED_EXTENSIONS = (".gz", ".gzip", ".zst", ".zstd")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass
class Source:
    """An input file that can be read.

    Attributes:
        name: The path as given.
        path: The local file that holds its bytes.
        size: Bytes of the file as stored (compressed).
        digest: blake2b hash of those bytes.
        format: Format by extension, else by its first bytes.
        extension: Lower-case extension without the compression's, e.g. `.tsv`.
        compression: `gzip`, `zstd` or None.
    """

    name: str
    path: Path
    size: int
    digest: str
    format: Format
    extension: str
    compression: str | None
    _modified: int = field(repr=False)

    @property
    def label(self) -> str:
        """What a landed row's `source` says, e.g. `file:events.csv`."""
        return self.name if self.name.startswith("s3://") else f"file:{Path(self.name).name}"

    def open(self) -> ByteStream:
        """Open the decompressed bytes."""
        return ByteStream(self.name, self.path, self.compression)

    def check_unchanged(self) -> None:
        """Check that the file is still the one that was hashed.

        Raises:
            SourceError: It was written to in the meantime.
        """
        status = self.path.stat()
        if (status.st_size, status.st_mtime_ns) != (self.size, self._modified):
            raise SourceError(
                self.name, "changed while it was read", "Ingest it once it is complete"
            )


class ByteStream:
    """Decompressed bytes of a file, read forwards.

    Attributes:
        consumed: Stored (compressed) bytes read so far.
    """

    def __init__(self, name: str, path: Path, compression: str | None) -> None:
        self._name = name
        self._file = pa.OSFile(str(path))
        self._stream: Any = (
            pa.CompressedInputStream(self._file, compression) if compression else self._file
        )

    @property
    def consumed(self) -> int:
        """Stored bytes read so far."""
        return int(self._file.tell())

    def read(self, size: int = READ_BYTES) -> bytes:
        """Read up to `size` bytes, none at the end.

        Raises:
            SourceError: The compressed data end early or are damaged.
        """
        try:
            return bytes(self._stream.read(size))
        except OSError as error:
            raise SourceError(
                self._name, f"can't be decompressed ({error})", "Copy the whole file again"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def check_path(name: str) -> None:
    """Check that a local path names a file, before a longer work begins.

    Raises:
        SourceError: It is missing, a folder, empty, or of an unknown scheme.
    """
    if name.startswith("s3://"):
        return
    if "://" in name:
        raise SourceError(name, "is of an unknown scheme", "Give a local path or s3://bucket/key")
    path = Path(name)
    try:
        if path.is_dir():
            raise SourceError(name, "is a folder", "Name the files in it")
        size = path.stat().st_size
        if not path.is_file():
            raise SourceError(name, "is not a regular file", "Write it to a file first")
    except FileNotFoundError:
        raise SourceError(name, "does not exist", "Check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(name, f"can't be read ({reason})", "Check the path") from None
    if size == 0:
        raise SourceError(name, "is empty", "Check what wrote it")


@contextmanager
def open_source(name: str, *, progress: Callable[[int], None] | None = None) -> Iterator[Source]:
    """Open a local path or `s3://` address for reading.

    Args:
        name: The path or address.
        progress: Called with the bytes read so far while the file is hashed.

    Raises:
        SourceError: It is missing, a folder, unreadable, or has no content.
    """
    if name.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
            local = Path(folder) / "source"
            _download(name, local)
            yield _inspect(name, local, progress)
        return
    check_path(name)
    yield _inspect(name, Path(name), progress)


def _download(name: str, target: Path) -> None:
    import s3fs
    from botocore.exceptions import BotoCoreError

    try:
        files = s3fs.S3FileSystem(use_listings_cache=False)
        with files.open(name, "rb") as remote, target.open("wb") as local:
            shutil.copyfileobj(remote, local, READ_BYTES * 8)
    except FileNotFoundError:
        raise SourceError(name, "does not exist", "Check bucket and key") from None
    except (OSError, ValueError, BotoCoreError) as error:
        reason = str(error).split("\n", maxsplit=1)[0] or type(error).__name__
        raise SourceError(
            name, f"can't be read ({reason})", "Check the address and the AWS_* variables"
        ) from None


def _inspect(name: str, path: Path, progress: Callable[[int], None] | None) -> Source:
    try:
        status = path.stat()
        digest = _digest(path, progress)
    except OSError as error:
        raise SourceError(name, f"can't be read ({error.strerror})", "Check the path") from None
    if status.st_size == 0:
        raise SourceError(name, "is empty", "Check what wrote it")
    with path.open("rb") as file:
        magic = file.read(4)
    compression = next((c for m, c in _MAGIC.items() if magic.startswith(m)), None)
    extension = _extension(name)
    stream = ByteStream(name, path, compression)
    try:
        found = _format(name, extension, stream)
    finally:
        stream.close()
    return Source(
        name, path, status.st_size, digest, found, extension, compression, status.st_mtime_ns
    )


def _digest(path: Path, progress: Callable[[int], None] | None) -> str:
    digest = hashlib.blake2b(digest_size=32)
    done = 0
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES * 4):
            digest.update(piece)
            done += len(piece)
            if progress is not None:
                progress(done)
    return digest.hexdigest()


def _extension(name: str) -> str:
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in _COMPRESSED_EXTENSIONS else path.suffix


def _format(name: str, extension: str, stream: ByteStream) -> Format:
    start = stream.read(4096)
    if start.startswith(b"PAR1"):
        return "parquet"
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    while not first:
        more = stream.read()
        if not more:
            raise SourceError(name, "has no content", "Check what wrote it")
        first = more.lstrip()
    known = _EXTENSIONS.get(extension)
    if known == "parquet":
        raise SourceError(name, "is not a Parquet file", "Check what wrote it")
    if known is not None:
        return known
    # without a telling extension: UTF-16 marks and letters mean delimited text
    return {b"[": "json_array", b"{": "json_lines"}.get(first[:1], "csv")  # type: ignore[return-value]  # the values are formats
