"""Releases on the store: a folder of files each, whose manifest is written last.

A folder without a manifest is no release: what a killed run has left there, the next one of the tenant
finishes or removes. A release never changes; an erasure puts another one in its place.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.storage.file_hash import hash_file
from recsys_pipeline.storage.layout import (
    MANIFEST,
    RELEASES,
    REPLACED,
    pinned_file,
    release_file,
    release_of,
    releases_prefix,
    replaced_file,
)
from recsys_pipeline.storage.manifest import Manifest, decode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recsys_pipeline.storage.objects import Held, ObjectStore


Fault = Literal["bad", "missing", "extra"]


class Finding(NamedTuple):
    """A file of a release that is not as its manifest says."""

    path: str
    fault: Fault
    words: str


class Releases:
    """The releases below one storage root."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    def all(self, tenant: str | None = None) -> list[Manifest]:
        """Return the manifests of all releases, or of a tenant's, latest first; no damaged ones."""
        return self.judged(tenant)[0]

    def judged(self, tenant: str | None = None) -> tuple[list[Manifest], list[ReleaseError]]:
        """Return the manifests of all releases, or of a tenant's, latest first, and those damaged."""
        good: list[Manifest] = []
        damaged: list[ReleaseError] = []
        for path in self.objects.list(releases_prefix(tenant) if tenant else RELEASES):
            if (where := release_of(path)) and where[2] == MANIFEST:
                try:
                    good.append(self._read(path))
                except ReleaseError as error:
                    damaged.append(error)
        return sorted(good, key=lambda m: (m.made.at, m.release), reverse=True), damaged

    def get(self, name: str, tenant: str | None = None) -> Manifest:
        """Return the manifest of a release.

        Args:
            name: Its id, or the first digits of it.
            tenant: Look among this tenant's only.

        Raises:
            ReleaseError: There is none, or several.
        """
        prefix = releases_prefix(tenant) if tenant else RELEASES
        places = {
            where
            for path in self.objects.list(prefix)
            if (where := release_of(path)) and where[2] == MANIFEST and where[1].startswith(name)
        }
        if len(places) == 1:
            return self._read(release_file(*places.pop()))
        if not places:
            self._tell_replaced(name, tenant)
        raise ReleaseError(
            f"release {name}",
            f"could be any of {', '.join(sorted(p[1] for p in places))}"
            if places
            else "is not there",
            "Give more of its digits" if places else "See `recsys release list`",
        )

    def _tell_replaced(self, name: str, tenant: str | None) -> None:
        """Raise that a release was replaced because of an erasure, where it was."""
        folder = f"{REPLACED}{tenant}/" if tenant else REPLACED
        for path in self.objects.list(folder):
            release = path.rpartition("/")[2].removesuffix(".json")
            if release.startswith(name) and (data := self.objects.read(path)) is not None:
                raise ReleaseError(
                    f"release {release}",
                    "is no more: users were erased from it",
                    f"Use {json.loads(data)['by']}, which is the same without them",
                )

    def find(self, tenant: str, recipe: str) -> Manifest | None:
        """Return a tenant's release that was made by a recipe."""
        return next((m for m in self.all(tenant) if m.made.recipe == recipe), None)

    def publish(self, manifest: Manifest, files: Mapping[str, Path]) -> tuple[Manifest, bool]:
        """Put a release in its place, unless it is there.

        Args:
            manifest: Its manifest.
            files: Local files by path inside the release; those that are put in place are moved.

        Returns:
            The manifest that is in place, and whether it is this one.
        """
        with self.objects.lock(f"releases/{manifest.content.tenant}") as lock:
            return self._put(manifest, files, lock)

    def replace(self, old: Manifest, new: Manifest, files: Mapping[str, Path]) -> bool:
        """Put a release in the place of another: its pin goes with it, and asking for the old one names it.

        Args:
            old: The release that goes.
            new: The manifest of the other, of the same tenant.
            files: As of `publish`.

        Returns:
            False where the old one is gone, and with it what the other was made from; nothing is done then.
        """
        tenant = old.content.tenant
        with self.objects.lock(f"releases/{tenant}") as lock:
            if not self.is_there(old):
                return False
            self._put(new, files, lock)
            if self.is_pinned(old):
                self.pin(new)
            note = {"by": new.release, "at": datetime.now(UTC).isoformat(timespec="seconds")}
            lock.confirm()
            self.objects.write(replaced_file(tenant, old.release), json.dumps(note).encode())
            self._delete(old)
        return True

    def _put(
        self, manifest: Manifest, files: Mapping[str, Path], lock: Held
    ) -> tuple[Manifest, bool]:
        tenant, release = manifest.content.tenant, manifest.release
        path = release_file(tenant, release, MANIFEST)
        self._sweep(tenant, keep=release)
        data = self.objects.read(path)
        if data is not None:
            return decode(data, path), False
        for name, local in files.items():
            lock.confirm()
            self.objects.put_file(local, release_file(tenant, release, name))
        lock.confirm()
        self.objects.write(path, manifest.encode())
        return manifest, True

    def is_there(self, manifest: Manifest) -> bool:
        """Return whether a release has not been deleted."""
        path = release_file(manifest.content.tenant, manifest.release, MANIFEST)
        return self.objects.identity(path) is not None

    def pin(self, manifest: Manifest) -> None:
        """Keep a release whatever its age."""
        self.objects.write(pinned_file(manifest.content.tenant, manifest.release), b"{}")

    def unpin(self, manifest: Manifest) -> None:
        """Leave a release to retention again."""
        self.objects.delete(pinned_file(manifest.content.tenant, manifest.release))

    def is_pinned(self, manifest: Manifest) -> bool:
        """Return whether a release is pinned."""
        path = pinned_file(manifest.content.tenant, manifest.release)
        return self.objects.identity(path) is not None

    def delete(self, manifest: Manifest) -> None:
        """Delete a release, its manifest first: what a killed process leaves is none any more."""
        with self.objects.lock(f"releases/{manifest.content.tenant}"):
            self._delete(manifest)

    def _delete(self, manifest: Manifest) -> None:
        tenant, release = manifest.content.tenant, manifest.release
        self.objects.delete(release_file(tenant, release, MANIFEST))
        for path in self.objects.list(release_file(tenant, release, "")):
            self.objects.delete(path)
        self.objects.delete(pinned_file(tenant, release))

    def sweep(self, tenant: str) -> None:
        """Remove what killed runs have left of a tenant's releases."""
        with self.objects.lock(f"releases/{tenant}"):
            self._sweep(tenant, keep="")

    def _sweep(self, tenant: str, keep: str) -> None:
        """Remove what killed runs have left; the caller holds the lock that a living one would."""
        by_release: dict[str, list[str]] = {}
        whole = {keep}
        for path in self.objects.list(releases_prefix(tenant)):
            if where := release_of(path):
                by_release.setdefault(where[1], []).append(path)
                if where[2] == MANIFEST:
                    whole.add(where[1])
        for release, paths in by_release.items():
            if release not in whole:
                for path in paths:
                    self.objects.delete(path)

    def verify(self, manifest: Manifest) -> list[Finding]:
        """Hash every file of a release again; return those that are not as the manifest says."""
        tenant, release = manifest.content.tenant, manifest.release
        folder = release_file(tenant, release, "")
        listed = {path.removeprefix(folder) for path in self.objects.list(folder)}
        found = [
            Finding(path, "extra", "is not in the manifest")
            for path in listed - {MANIFEST} - {file.path for file in manifest.content.files}
        ]
        for file in manifest.content.files:
            handle = self.objects.open(release_file(tenant, release, file.path))
            if handle is None:
                found.append(Finding(file.path, "missing", "is not there"))
                continue
            with handle:
                hashed = hash_file(handle)
            if hashed != file.blake2b:
                words = f"has the hash {hashed}, and {file.blake2b} in the manifest"
                found.append(Finding(file.path, "bad", words))
        return sorted(found)

    def _read(self, path: str) -> Manifest:
        data = self.objects.read(path)
        if data is None:
            raise ReleaseError(path, "has just been removed", "See `recsys release list`")
        return decode(data, path)
