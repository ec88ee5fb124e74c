"""Erasure from releases: one that has rows of theirs is replaced by one without.

Its rows keep their order and its vocabularies their integers: an erased id leaves a row without id behind,
so that a model that was trained on the old one can go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.engines.workspace import Workspace
from recsys_pipeline.maintenance.erasure.receipt import Layer, content_of
from recsys_pipeline.storage.file_hash import hash_file
from recsys_pipeline.storage.layout import release_file
from recsys_pipeline.storage.manifest import (
    Content,
    FoldRows,
    Making,
    Manifest,
    ReleasedFile,
    split_folder,
)
from recsys_pipeline.storage.parquet_store import PARQUET
from recsys_pipeline.storage.releases import Releases

if TYPE_CHECKING:
    from pathlib import Path

    from recsys_pipeline.storage.erased import Subjects
    from recsys_pipeline.storage.objects import ObjectStore

USERS = "vocabularies/users.parquet"


def erase_releases(objects: ObjectStore, subjects: Subjects) -> Layer:
    """Replace the releases of a tenant that hold erased users by ones that don't.

    Those that can't be read are told in the note, and wait: nobody knows whom they hold.
    """
    releases = Releases(objects)
    # files of one that was being deleted when its process was killed are of nobody's any more
    releases.sweep(subjects.tenant)
    seen: set[str] = set()
    rows = 0
    made: list[tuple[str, str]] = []
    unreadable: list[str] = []
    # another erasure may have put one in the place of one that is being rewritten here
    while unseen := [one for one in releases.all(subjects.tenant) if one.release not in seen]:
        for old in unseen:
            seen.add(old.release)
            with Workspace(objects) as workspace:
                rewriting = _Rewriting(objects, old, subjects, workspace)
                try:
                    if not rewriting.is_needed():
                        continue
                    new, files = rewriting.make()
                except (FileNotFoundError, pl.exceptions.ComputeError):
                    if releases.is_there(old):
                        unreadable.append(old.release)
                    continue
                if releases.replace(old, new, files):
                    seen.add(new.release)
                    rows += rewriting.rows
                    hashes = ((file.path, file.blake2b) for file in new.content.files)
                    made.append((new.release, content_of(hashes)))
    unreadable += [error.culprit for error in releases.judged(subjects.tenant)[1]]
    return Layer(
        name="releases",
        looked_at=len(seen) - len(made),
        changed=len(made),
        rows=rows,
        waiting=len(unreadable),
        content=content_of(made),
        note=f"restore or delete what can't be read: {', '.join(unreadable)}" if unreadable else "",
    )


class _Rewriting:
    """A release on its way to another without some users."""

    def __init__(
        self, objects: ObjectStore, old: Manifest, subjects: Subjects, workspace: Workspace
    ) -> None:
        self._objects = objects
        self._old = old
        self._subjects = subjects
        self._workspace = workspace
        self.rows = 0

    def is_needed(self) -> bool:
        """Say whether there is a row, or an id in a vocabulary, of one of them."""
        return any(self._has_theirs(file) for file in self._old.content.files)

    def make(self) -> tuple[Manifest, dict[str, Path]]:
        """Return the manifest of the release without them, and its files by path inside it."""
        local: dict[str, Path] = {}
        files: list[ReleasedFile] = []
        lost: dict[str, pl.DataFrame] = {}
        for file in self._old.content.files:
            path = self._workspace.path()
            local[file.path] = path
            frame = self._without(file, lost)
            if frame is None:
                path.write_bytes(self._objects.read(self._path(file.path)) or b"")
                files.append(file)
                continue
            frame.write_parquet(path, **PARQUET)
            with path.open("rb") as handle:
                hashed = hash_file(handle)
            size = path.stat().st_size
            files.append(
                ReleasedFile(path=file.path, blake2b=hashed, bytes=size, rows=frame.height)
            )
        old = self._old.content
        content = old.model_copy(
            update={
                "files": tuple(files),
                "folds": tuple(_counted(fold, lost) for fold in old.folds),
            }
        )
        return self._manifest(content), local

    def _manifest(self, content: Content) -> Manifest:
        made = Making(
            # it keeps its place among the latest, of which retention keeps some
            at=self._old.made.at,
            # what is made of the same inputs is not this one
            recipe=f"{self._old.made.recipe} erased",
            landing=self._old.made.landing,
            replaces=self._old.release,
        )
        return Manifest(release=content.id, content=content, made=made)

    def _without(self, file: ReleasedFile, lost: dict[str, pl.DataFrame]) -> pl.DataFrame | None:
        """Return a file's rows without theirs, None where it has none; note what a split has lost."""
        if not self._has_theirs(file):
            return None
        rows = self._read(file.path)
        if file.path.endswith(USERS):
            kept = ~rows["id"].is_in(self._subjects.ids(rows["id"]))
            return rows.with_columns(
                pl.when(kept).then(name).alias(name) for name in ("id", "first_seen")
            )
        theirs = self._subjects.rows(rows, whole=True)
        folder = file.path.rpartition("/")[0]
        gone = rows.filter(theirs).select("label", "cold_user", "cold_item")
        lost[folder] = pl.concat([lost[folder], gone]) if folder in lost else gone
        self.rows += gone.height
        return rows.filter(~theirs)

    def _has_theirs(self, file: ReleasedFile) -> bool:
        if file.path.endswith(USERS):
            return bool(self._subjects.ids(self._read(file.path, ["id"])["id"]))
        if file.path.rpartition("/")[0] not in self._old.rows():
            return False  # a table of items
        return bool(self._subjects.ids(self._read(file.path, ["user_id"])["user_id"]))

    def _read(self, path: str, columns: list[str] | None = None) -> pl.DataFrame:
        uri = self._objects.uri(self._path(path))
        return pl.read_parquet(uri, columns=columns, glob=False, hive_partitioning=False)

    def _path(self, path: str) -> str:
        return release_file(self._old.content.tenant, self._old.release, path)


def _counted(fold: FoldRows, lost: dict[str, pl.DataFrame]) -> FoldRows:
    """Return a fold's counts without the rows that were lost, by folder of the split."""
    rows = {split: dict(counts) for split, counts in fold.rows.items()}
    cold = {split: dict(counts) for split, counts in fold.cold.items()}
    for split, counts in rows.items():
        gone = lost.get(split_folder(fold.name, split))
        if gone is None:
            continue
        positives = int((gone["label"] == 1).sum())
        counts["positives"] -= positives
        counts["negatives"] -= gone.height - positives
        for name in cold.get(split, {}):
            cold[split][name] -= int(gone[name].sum())
    return fold.model_copy(update={"rows": rows, "cold": cold})
