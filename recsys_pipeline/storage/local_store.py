"""Objects below a local folder."""

from __future__ import annotations

import os
import time
import uuid
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_pipeline.storage.layout import LOCK_SLOTS, META, TEMPORARY
from recsys_pipeline.storage.objects import Held, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from typing import BinaryIO


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

    def open(self, path: str) -> BinaryIO | None:
        """Open a file to read; what replaces or deletes it later leaves it as it is."""
        try:
            return self._path(path).open("rb")
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
        while True:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                return local.replace(target)
            except FileNotFoundError:
                if not local.exists():
                    raise
                # another process has removed the folder, which was empty until now

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
        return sweep_folder(self._path(TEMPORARY), older_than)

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


def sweep_folder(folder: Path, older_than: timedelta) -> int:
    """Remove the files of a folder that are older than that, and say how many."""
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
