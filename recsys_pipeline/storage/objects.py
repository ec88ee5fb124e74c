"""Small whole objects on a local disk or S3, switched atomically, and locks over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from pathlib import Path
    from typing import BinaryIO


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

    def open(self, path: str) -> BinaryIO | None:
        """Open an object to read, as a local file; None where there is none.

        What replaces or deletes the object later leaves the file as it is.
        """
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


def open_store(root: str) -> ObjectStore:
    """Return the store of a root: `s3://bucket/prefix`, or a local folder."""
    from recsys_pipeline.storage.local_store import LocalStore
    from recsys_pipeline.storage.s3_store import S3Store

    return S3Store(root) if root.startswith("s3://") else LocalStore(root)
