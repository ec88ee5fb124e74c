"""Erasure from the published tables: every file with a row of theirs is written anew without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.maintenance.erasure.receipt import Layer, content_of
from recsys_pipeline.storage.layout import data_file, data_partition

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl

    from recsys_pipeline.storage.erased import Subjects
    from recsys_pipeline.storage.parquet_store import ParquetStore
    from recsys_pipeline.storage.records import Pin

# those with rows of users; of whom an item is erased, what was computed from it goes as a whole
TABLES = {
    "validated_interactions": False,
    "quarantined_interactions": False,
    "user_features": True,
    "training_samples": True,
}


def erase_published(
    store: ParquetStore, table: str, subjects: Subjects, tenants: Collection[str], pin: Pin
) -> Layer:
    """Remove rows of erased users from a published table.

    Args:
        store: The published tables.
        table: One of `TABLES`.
        subjects: Who was erased.
        tenants: Whose files are read.
        pin: Landing versions without their rows.
    """
    whole = TABLES[table]

    def kept(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.filter(~subjects.rows(rows, whole=whole))

    looked_at = rows = 0
    hashes: list[tuple[str, str]] = []
    for path in sorted(store.objects.list(f"{table}/")):
        partition = data_partition(path)
        if partition is None or partition[1] not in tenants:
            continue
        looked_at += 1
        done = store.rewrite(table, partition, kept, pin)
        if done.content is not None:
            rows += done.rows
            hashes.append((data_file(table, *partition), done.content))
    return Layer(
        name=table,
        looked_at=looked_at,
        changed=len(hashes),
        rows=rows,
        content=content_of(hashes),
    )
