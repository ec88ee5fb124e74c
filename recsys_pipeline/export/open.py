"""A release opened to read: its manifest, its tables, its shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.storage.layout import MANIFEST, release_file
from recsys_pipeline.storage.manifest import split_folder
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recsys_pipeline.storage.manifest import Manifest, ReleasedFile
    from recsys_pipeline.storage.objects import ObjectStore

Vocabulary = Literal["users", "items", "categories", "brands"]


@dataclass(frozen=True)
class OpenRelease:
    """A release.

    Attributes:
        manifest: What it says of itself.
        objects: The store that holds it.
    """

    manifest: Manifest
    objects: ObjectStore

    @property
    def splits(self) -> list[str]:
        """Its splits; those of a rolling release as `fold-1/train`."""
        return list(self.manifest.rows())

    def shards(self, split: str) -> list[ReleasedFile]:
        """Return the files of a split, in order.

        Raises:
            ReleaseError: It has no such split.
        """
        if split not in self.splits:
            raise ReleaseError(
                f"release {self.manifest.release}",
                f"has no split {split!r}",
                f"Use one of {', '.join(self.splits)}",
            )
        files = self.manifest.content.files
        found = [file for file in files if file.path.rpartition("/")[0] == split]
        return sorted(found, key=lambda file: file.path)

    def vocabulary(self, name: Vocabulary, fold: str = "") -> pl.DataFrame:
        """Read a vocabulary: columns `id`, `index` and `first_seen`, sorted by index."""
        return self._table(fold, f"vocabularies/{name}.parquet")

    def item_frequencies(self, fold: str = "") -> pl.DataFrame:
        """Read how often items are positives of train: `item_id`, `index`, `positives`, `share`."""
        return self._table(fold, "item_frequencies.parquet")

    def catalogue(self, fold: str = "") -> pl.DataFrame:
        """Read the catalogue as of the last day: columns of `Item`, and their indices."""
        return self._table(fold, "catalogue.parquet")

    def read(self, path: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a file by its path inside the release; only some columns, in their order, if given.

        Raises:
            ReleaseError: It is not there, or damaged.
        """
        uri = self.objects.uri(
            release_file(self.manifest.content.tenant, self.manifest.release, path)
        )
        # not by way of a file object: Arrow's threads may abort a process that ends while they hold one
        file = pl.scan_parquet(uri, glob=False, hive_partitioning=False)
        try:
            return (file if columns is None else file.select(columns)).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ReleaseError(
                uri,
                f"can't be read ({str(error).splitlines()[0]})",
                f"See `recsys release verify {self.manifest.release}`",
            ) from None

    def _table(self, fold: str, path: str) -> pl.DataFrame:
        return self.read(split_folder(fold, path))


def open_release(where: str | Path, root: str | None = None) -> OpenRelease:
    """Open a release to read; its files are not hashed again, see `recsys release verify`.

    Args:
        where: Its folder, local or `s3://`, as `recsys release` prints it; or its id, or the first
            digits of it.
        root: The storage root in which to look for an id; by default that of the settings.

    Raises:
        ReleaseError: There is none, or its manifest was changed.
    """
    text = str(where).rstrip("/")
    base, separator, inside = text.rpartition("/training_dataset/")
    if separator:
        objects = open_store(base)
        tenant, _, release = inside.removeprefix("tenant=").partition("/release=")
        return OpenRelease(Releases(objects).get(release, tenant), objects)
    if "/" in text:
        raise ReleaseError(
            text,
            "is no folder of a release",
            f"Give …/training_dataset/tenant=T/release=ID, which holds {MANIFEST}, or an id",
        )
    if root is None:
        from recsys_pipeline.settings import get_settings

        root = get_settings().storage_root
    objects = open_store(root)
    return OpenRelease(Releases(objects).get(text), objects)
