"""The order of a release's splits in time, read from its files anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.storage.layout import release_file
from recsys_pipeline.storage.manifest import split_folder
from recsys_pipeline.transforms.split_order import out_of_order

if TYPE_CHECKING:
    from recsys_pipeline.storage.manifest import Manifest
    from recsys_pipeline.storage.objects import ObjectStore

Late = tuple[str, str, str, int]


def late_rows(objects: ObjectStore, manifest: Manifest) -> list[Late]:
    """Look in the files of a release for rows that are later than those of a later split.

    Returns:
        (fold, earlier split, later split, users at fault; 1 where rows of all users are compared).
    """
    by_user = manifest.content.split.kind == "leave-last-out"
    found: list[Late] = []
    for fold in manifest.content.folds:
        times = {
            split: _times(objects, manifest, split_folder(fold.name, split), by_user=by_user)
            for split in fold.days
        }
        found += [(fold.name, *late) for late in out_of_order(times, ties=by_user)]
    return found


def _times(objects: ObjectStore, manifest: Manifest, folder: str, *, by_user: bool) -> pl.DataFrame:
    """Return the first and last time of a split, by user or of all."""
    paths = [
        objects.uri(release_file(manifest.content.tenant, manifest.release, file.path))
        for file in manifest.content.files
        if file.path.startswith(f"{folder}/")
    ]
    user = pl.col("user_id") if by_user else pl.lit("").alias("user_id")
    return (
        pl.scan_parquet(paths, glob=False, hive_partitioning=False)
        .group_by(user)
        .agg(pl.col("timestamp").min().alias("first"), pl.col("timestamp").max().alias("last"))
        .collect(engine="streaming")
    )
