"""Small whole objects on a local disk or S3, switched atomically, and locks over them."""

from __future__ import annotations

import os
import time
import uuid
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recsys_pipeline.errors import StorageError
from recsys_pipeline.storage.layout import LOCK_SLOTS, META, TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE_SECONDS = 300
LOCK_PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Identity:
    """What tells one content of a path from another: size in bytes and the store's own stamp."""

    size: int
    stamp: str


class ObjectStore(Protocol):
    """The operations that publication needs; paths are relative to the root."""

    root: str

    def uri(self, path: str) -> str:
        """Return the address that Polars and deltalake open."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        ...

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Replace an object as a whole.

        Without `durable` it may be lost, or found torn, after a power failure.
        """
        ...

    def put_file(self, local: Path, path: str, *, durable: bool = True) -> Identity:
        """Move a finished local file to a path as a whole.

        Without `durable` a power failure may bring back what was there before.
        """
        ...

    def delete(self, path: str) -> None:
        """Remove an object; no error where there is none."""
        ...

    def list(self, prefix: str) -> dict[str, Identity]:
        """Return every object below a folder."""
        ...

    def identity(self, path: str) -> Identity | None:
        """Return an object's identity, or None where there is none."""
        ...

    def temporary(self) -> Path:
        """Return a fresh local path for a file that `put_file` will move."""
        ...

    def lock(self, name: str) -> Any:  # noqa: ANN401  # a context manager
        """Hold the lock of a name; released when its process dies."""
        ...


class LocalStore:
    """Objects below a local folder: temporary file, fsync, `os.replace`."""

    def __init__(self, root: str) -> None:
        self.root = str(Path(root).absolute())

    def _path(self, path: str) -> Path:
        return Path(self.root) / path

    def uri(self, path: str) -> str:
        """Return the absolute path."""
        return str(self._path(path))

    def read(self, path: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        try:
            return self._path(path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Replace an object as a whole; without `durable` nothing is synced."""
        temporary = self.temporary()
        temporary.write_bytes(data)
        if durable:
            self.put_file(temporary, path)
        else:
            self._rename(temporary, path)

    def put_file(self, local: Path, path: str, *, durable: bool = True) -> Identity:
        """Sync a file and rename it to its place; with `durable` sync the folder too."""
        _sync(local)
        target = self._rename(local, path)
        if durable:
            _sync(target.parent)
        return _local_identity(target)

    def _rename(self, local: Path, path: str) -> Path:
        target = self._path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return local.replace(target)

    def delete(self, path: str) -> None:
        """Remove an object and the folders that it leaves empty."""
        target = self._path(path)
        target.unlink(missing_ok=True)
        for folder in list(target.parents)[:2]:
            try:
                folder.rmdir()
            except OSError:
                return

    def list(self, prefix: str) -> dict[str, Identity]:
        """Return every object below a folder."""
        base = self._path(prefix)
        return {
            str(found.relative_to(self.root)): _local_identity(found)
            for found in base.rglob("*")
            if found.is_file()
        }

    def identity(self, path: str) -> Identity | None:
        """Return size and modification time, or None where there is no file."""
        try:
            return _local_identity(self._path(path))
        except FileNotFoundError:
            return None

    def temporary(self) -> Path:
        """Return a fresh path on the root's own file system, so that a rename is atomic."""
        folder = self._path(TEMPORARY)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold an flock; the kernel releases it when the process dies."""
        import fcntl

        slot = zlib.crc32(name.encode()) % LOCK_SLOTS
        path = self._path(f"{META}/locks/{slot:03d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _local_identity(path: Path) -> Identity:
    status = path.stat()
    return Identity(status.st_size, str(status.st_mtime_ns))


class S3Store:
    """Objects below `s3://bucket/prefix`; credentials are the standard `AWS_*` variables."""

    def __init__(self, root: str) -> None:
        self.root = root

    @cached_property
    def _fs(self) -> Any:  # noqa: ANN401  # s3fs ships no types
        import s3fs

        # a cached listing would hide what another process has just published
        return s3fs.S3FileSystem(use_listings_cache=False)

    def uri(self, path: str) -> str:
        """Return the s3:// address."""
        return f"{self.root}/{path}"

    def read(self, path: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        try:
            return bytes(self._fs.cat_file(self.uri(path)))
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:  # noqa: ARG002
        """Put an object: S3 shows it as a whole or not at all, and always durably."""
        self._fs.pipe_file(self.uri(path), data)

    def put_file(self, local: Path, path: str, *, durable: bool = True) -> Identity:  # noqa: ARG002
        """Upload a file (multipart when large; nothing is visible until it is complete)."""
        self._fs.put_file(str(local), self.uri(path))
        local.unlink()
        found = self.identity(path)
        if found is None:
            raise StorageError(self.uri(path), "is not there after its upload", "Run it again")
        return found

    def delete(self, path: str) -> None:
        """Remove an object; no error where there is none."""
        try:
            self._fs.rm_file(self.uri(path))
        except FileNotFoundError:
            return

    def list(self, prefix: str) -> dict[str, Identity]:
        """Return every object below a folder."""
        bucket_path = self.root.removeprefix("s3://")
        found = self._fs.find(self.uri(prefix), detail=True)
        return {
            name.removeprefix(bucket_path + "/"): _s3_identity(info) for name, info in found.items()
        }

    def identity(self, path: str) -> Identity | None:
        """Return size and ETag, or None where there is no object."""
        try:
            return _s3_identity(self._fs.info(self.uri(path)))
        except FileNotFoundError:
            return None

    def temporary(self) -> Path:
        """Return a fresh local path."""
        import tempfile

        folder = Path(tempfile.gettempdir()) / "recsys_pipeline"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lease: an object put only if absent, taken over once it has run out.

        Raises:
            StorageError: Another process held the lease for longer than the patience.
        """
        slot = zlib.crc32(name.encode()) % LOCK_SLOTS
        path = self.uri(f"{META}/locks/{slot:03d}")
        token = uuid.uuid4().hex.encode()
        patience = time.monotonic() + LOCK_PATIENCE_SECONDS
        while not self._take(path, token):
            if time.monotonic() > patience:
                raise StorageError(path, "is held by another process", "Remove it if none runs")
            time.sleep(0.05)
        try:
            yield
        finally:
            if self._fs.cat_file(path) == token:
                self._fs.rm_file(path)

    def _take(self, path: str, token: bytes) -> bool:
        try:
            self._fs.pipe_file(path, token, mode="create")
        except FileExistsError:
            try:
                modified = self._fs.info(path)["LastModified"]
            except FileNotFoundError:
                return False
            if (datetime.now(UTC) - modified).total_seconds() > LEASE_SECONDS:
                self._fs.rm_file(path)
            return False
        return True


def _s3_identity(info: dict[str, Any]) -> Identity:
    return Identity(int(info["size"]), str(info["ETag"]).strip('"'))


def open_store(root: str) -> ObjectStore:
    """Return the store of a root: `s3://bucket/prefix`, or a local folder."""
    return S3Store(root) if root.startswith("s3://") else LocalStore(root)
