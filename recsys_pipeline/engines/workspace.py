"""Temporary local files of one run, removed at its end; those of a killed one are swept later."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from recsys_pipeline.storage.objects import ObjectStore


# a temporary file this old belongs to a run that was killed
LEFTOVER_AGE = timedelta(days=1)


class Workspace:
    """Hands out fresh paths of a store and removes, on exit, the files that are still there."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._paths: set[Path] = set()

    def path(self) -> Path:
        """Return a fresh local path."""
        path = self._objects.temporary()
        self._paths.add(path)
        return path

    def remove(self, path: Path) -> None:
        """Remove a file; no error where it was moved away."""
        path.unlink(missing_ok=True)
        self._paths.discard(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for path in list(self._paths):
            self.remove(path)
