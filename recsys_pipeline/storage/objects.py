"""Small whole objects on a local disk or S3, switched atomically, and locks over them."""

from __future__ import annotations

import os
import time
import uuid
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recsys_pipeline.errors import StorageError
from recsys_pipeline.storage.layout import LOCK_SLOTS, META, TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

LEASE_SECONDS = 300
LOCK_PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Identity:
    """What tells one content of a path from another: size in bytes and the store's own stamp."""

    size: int
    stamp: str


class Held(Protocol):
    """A lock that this process has taken."""

    def confirm(self) -> None:
        """Check that it is still held, and renew it.

        Raises:
            StorageError: Another process may have taken it over.
        """
        ...


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

    def sweep(self, older_than: timedelta) -> int:
        """Remove temporary files that a killed process left; return how many.

        Args:
            older_than: Time since the last write to a file; longer than any write takes.
        """
        ...

    def lock(self, name: str) -> AbstractContextManager[Held]:
        """Hold the lock of a name; it comes free when its process dies."""
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
        """Return every object below a folder; those removed meanwhile may be missing."""
        found: dict[str, Identity] = {}
        folders = [str(self._path(prefix))]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        elif entry.is_file():
                            self._note(entry, found)
            except (FileNotFoundError, NotADirectoryError):
                continue  # not there, or another process has just removed it
        return found

    def _note(self, entry: os.DirEntry[str], found: dict[str, Identity]) -> None:
        try:
            found[entry.path[len(self.root) :].lstrip("/")] = _identity_of(entry.stat())
        except FileNotFoundError:
            return

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

    def sweep(self, older_than: timedelta) -> int:
        """Remove temporary files that a killed process left; return how many."""
        return _sweep(self._path(TEMPORARY), older_than)

    @contextmanager
    def lock(self, name: str) -> Iterator[Held]:
        """Hold an flock; the kernel releases it when the process dies."""
        import fcntl

        slot = zlib.crc32(name.encode()) % LOCK_SLOTS
        path = self._path(f"{META}/locks/{slot:03d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield _Flock()


class _Flock:
    """An flock is lost only with its process."""

    def confirm(self) -> None:
        """Return: it is held."""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _local_identity(path: Path) -> Identity:
    return _identity_of(path.stat())


def _identity_of(status: os.stat_result) -> Identity:
    return Identity(status.st_size, str(status.st_mtime_ns))


def _sweep(folder: Path, older_than: timedelta) -> int:
    if not folder.is_dir():
        return 0
    removed = 0
    until = time.time() - older_than.total_seconds()
    for path in folder.iterdir():
        try:
            if path.stat().st_mtime < until:
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue  # its own process has moved it to its place
    return removed


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
        folder = self._temporary_folder()
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    def _temporary_folder(self) -> Path:
        import tempfile

        return Path(tempfile.gettempdir()) / "recsys_pipeline"

    def sweep(self, older_than: timedelta) -> int:
        """Remove files that a killed process left on this machine; return how many."""
        return _sweep(self._temporary_folder(), older_than)

    @contextmanager
    def lock(self, name: str) -> Iterator[Held]:
        """Hold a lease: an object that only conditional requests write.

        Raises:
            StorageError: Another process held the lease for longer than the patience.
        """
        slot = zlib.crc32(name.encode()) % LOCK_SLOTS
        lease = _Lease(self._fs, self.uri(f"{META}/locks/{slot:03d}"))
        patience = time.monotonic() + LOCK_PATIENCE_SECONDS
        while not lease.take():
            if time.monotonic() > patience:
                raise StorageError(
                    lease.path, "is held by another process", "Remove it if none runs"
                )
            time.sleep(0.05)
        try:
            yield lease
        finally:
            lease.release()


# what S3 answers when the object is not as the condition of a request says, or is being written
_REFUSALS = {"PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict", "OperationAborted"}


class _Lease:
    """A lease on S3: an object that is empty when free, and else unlike any other holder's.

    Every change is one PUT on the condition of the ETag seen before (`If-Match`), so of many
    processes that see a free lease, or one that has run out, one gets it. It is released by an
    empty PUT, since a DELETE on a condition is not served by every store.
    """

    def __init__(self, fs: Any, path: str) -> None:  # noqa: ANN401  # s3fs ships no types
        self.path = path
        self._fs = fs
        bucket, key, _ = fs.split_path(path)
        self._key = {"Bucket": bucket, "Key": key}
        self._etag: str | None = None

    def take(self) -> bool:
        """Take the lease if it is free or has run out; return whether it is ours now."""
        try:
            seen = self._fs.call_s3("head_object", **self._key)
        except FileNotFoundError:
            return self._put(_nonce(), IfNoneMatch="*")
        age = (datetime.now(UTC) - seen["LastModified"]).total_seconds()
        if seen["ContentLength"] and age <= LEASE_SECONDS:
            return False
        return self._put(_nonce(), IfMatch=seen["ETag"])

    def confirm(self) -> None:
        """Start the lease's time anew.

        Raises:
            StorageError: It had run out, and another process has taken it over.
        """
        # a new body, so that nobody who saw the lease run out can take it over from now on
        if self._etag is None or not self._put(_nonce(), IfMatch=self._etag):
            raise StorageError(
                self.path, "was held for too long: the lease was lost", "Run it again"
            )

    def release(self) -> None:
        """Leave the lease free if it is still ours."""
        if self._etag is not None:
            self._put(b"", IfMatch=self._etag)
            self._etag = None

    def _put(self, body: bytes, **condition: str) -> bool:
        try:
            answer = self._fs.call_s3("put_object", **self._key, Body=body, **condition)
        except OSError as error:
            cause = getattr(error.__cause__, "response", {})
            if cause.get("Error", {}).get("Code") not in _REFUSALS:
                raise
            self._etag = None
            return False
        self._etag = answer["ETag"]
        return True


def _nonce() -> bytes:
    return uuid.uuid4().hex.encode()


def _s3_identity(info: dict[str, Any]) -> Identity:
    return Identity(int(info["size"]), str(info["ETag"]).strip('"'))


def open_store(root: str) -> ObjectStore:
    """Return the store of a root: `s3://bucket/prefix`, or a local folder."""
    return S3Store(root) if root.startswith("s3://") else LocalStore(root)
