"""Objects below an S3 prefix, and leases as conditional PUTs."""

from __future__ import annotations

import time
import uuid
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_pipeline.errors import StorageError
from recsys_pipeline.settings import s3_encryption
from recsys_pipeline.storage.layout import LOCK_SLOTS, META
from recsys_pipeline.storage.local_store import sweep_folder
from recsys_pipeline.storage.objects import Held, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

LEASE_SECONDS = 300
# of a request that is throttled or fails at the server, with growing pauses of up to 20 seconds
ATTEMPTS = 10
LOCK_PATIENCE_SECONDS = 600


class S3Store:
    """Objects below `s3://bucket/prefix`; credentials are the standard `AWS_*` variables."""

    def __init__(self, root: str) -> None:
        self.root = root

    @cached_property
    def _fs(self) -> Any:  # noqa: ANN401  # s3fs ships no types
        import s3fs

        return s3fs.S3FileSystem(
            # a cached listing would hide what another process has just published
            use_listings_cache=False,
            s3_additional_kwargs=s3_encryption(),
            config_kwargs={"retries": {"mode": "standard", "max_attempts": ATTEMPTS}},
        )

    def uri(self, path: str) -> str:
        """Return the s3:// address."""
        return f"{self.root}/{path}"

    def read(self, path: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        try:
            return bytes(self._fs.cat_file(self.uri(path)))
        except FileNotFoundError:
            return None

    def open(self, path: str) -> BinaryIO | None:
        """Download an object into a file without a name, which goes when it is closed."""
        local = self.temporary()
        try:
            self._fs.get_file(self.uri(path), str(local))
            return local.open("rb")
        except FileNotFoundError:
            return None
        finally:
            local.unlink(missing_ok=True)

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
        return sweep_folder(self._temporary_folder(), older_than)

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
            answer = self._fs.call_s3(
                "put_object", **self._key, Body=body, **condition, **s3_encryption()
            )
        except OSError as error:
            cause = getattr(error.__cause__, "response", {})
            if cause.get("Error", {}).get("Code") not in _REFUSALS:
                raise
            self._etag = self._ours(body)
            return self._etag is not None
        self._etag = answer["ETag"]
        return True

    def _ours(self, body: bytes) -> str | None:
        """Return the ETag of what is there if it is what was put: the answer to a first try was lost."""
        if not body:
            return None
        try:
            seen = self._fs.call_s3("head_object", **self._key)
            if self._fs.cat_file(self.path) != body:
                return None
        except FileNotFoundError:
            return None
        return str(seen["ETag"])


def _nonce() -> bytes:
    return uuid.uuid4().hex.encode()


def _s3_identity(info: dict[str, Any]) -> Identity:
    return Identity(int(info["size"]), str(info["ETag"]).strip('"'))
