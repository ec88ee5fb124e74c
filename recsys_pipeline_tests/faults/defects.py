"""Defects for production code, so that the harness can be seen to find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def commits_twice() -> None:
    """Rows are in the landing zone twice."""
    import polars as pl

    from recsys_pipeline.storage.landing import Landing

    append = Landing.append_offsets

    def twice(landing: Landing, rows: pl.DataFrame, **more: Any) -> None:
        append(landing, pl.concat([rows, rows]), **more)

    Landing.append_offsets = twice


def drops_chunks() -> None:
    """The offset moves on, the rows of it do not land."""
    from recsys_pipeline.storage.landing import Landing

    append = Landing.append_offsets

    def without(landing: Landing, rows: Any, **more: Any) -> None:
        append(landing, rows.clear(), **more)

    Landing.append_offsets = without


def offset_apart() -> None:
    """Rows are committed, and their offset by a transaction after it."""
    from recsys_pipeline.storage.landing import Landing

    commit = Landing._commit

    def apart(landing: Landing, table: Any, actions: list[Any], transactions: list[Any]) -> bool:
        commit(landing, table, actions, [])
        return commit(landing, landing._reopen(), [], transactions)

    Landing._commit = apart


def tears_files() -> None:
    """Files lack their end."""
    from recsys_pipeline.storage.local_store import LocalStore

    put = LocalStore.put_file

    def torn(store: LocalStore, local: Path, path: str, **more: Any) -> Any:
        local.write_bytes(local.read_bytes()[:-9])
        return put(store, local, path, **more)

    LocalStore.put_file = torn


def publishes_less() -> None:
    """Each published file lacks a row, and its record knows nothing of it."""
    from dataclasses import replace

    import polars as pl

    from recsys_pipeline.storage.parquet_store import ParquetStore, Spooled

    switch = ParquetStore._switch

    def less(store: ParquetStore, *args: Any) -> Any:
        *where, content, pin, old = args
        frame = content.frame
        if isinstance(frame, Spooled) and frame.rows > 1:
            pl.read_parquet(frame.path).head(-1).write_parquet(frame.path)
            content = replace(content, frame=replace(frame, rows=frame.rows - 1))
        elif isinstance(frame, pl.DataFrame) and frame.height > 1:
            content = replace(content, frame=frame.head(-1))
        return switch(store, *where, content, pin, old)

    ParquetStore._switch = less


def ignores_offsets() -> None:
    """A range is landed wherever it begins."""
    from recsys_pipeline.storage import landing

    landing._check_offset = lambda *_: None


def refuses_everything() -> None:
    """No range lands, for a reason of its own."""
    from recsys_pipeline.ingestion import kafka_landing

    kafka_landing.land_ranges = lambda *_: 1 / 0


def forgets_uploads() -> None:
    """Small uploads are answered and do not land."""
    from recsys_pipeline.ingestion.group_commit import GroupedLanding

    def pretend(landing: GroupedLanding, piece: Any) -> bool:
        return True

    GroupedLanding._grouped = pretend


def forgets_keys() -> None:
    """An upload that comes again lands again."""
    import uuid

    from recsys_pipeline.api import landing
    from recsys_pipeline.ingestion import ingest

    ingest.implicit_key = lambda *_: uuid.uuid4().hex * 2
    landing.save_answer = lambda *arguments, **_: arguments[2]


def manifest_first() -> None:
    """A release is there before its files are."""
    from recsys_pipeline.storage.layout import MANIFEST, release_file
    from recsys_pipeline.storage.releases import Releases

    def publish(releases: Releases, manifest: Any, files: dict[str, Path]) -> Any:
        tenant, release = manifest.content.tenant, manifest.release
        releases.objects.write(release_file(tenant, release, MANIFEST), manifest.encode())
        for name, local in files.items():
            releases.objects.put_file(local, release_file(tenant, release, name))
        return manifest, True

    Releases.publish = publish


def leaves_temporaries() -> None:
    """What killed runs have left stays for good."""
    from recsys_pipeline.storage.local_store import LocalStore

    LocalStore.sweep = lambda *_: 0


def leaves_history() -> None:
    """Files that the landing table no longer names keep what was erased."""
    from recsys_pipeline.storage.landing_erasure import ErasableLanding

    ErasableLanding._delete_others = lambda *_: (0, 0)


def forgets_seals() -> None:
    """Events go, and nothing is kept in their place."""
    from recsys_pipeline.engines import sealed

    def unmoved(_objects: Any, _tenant: str, change: Any) -> Any:
        from recsys_pipeline.storage.horizons import Horizon

        return change(Horizon())

    sealed.move_horizon = unmoved


DEFECTS: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        commits_twice,
        drops_chunks,
        offset_apart,
        tears_files,
        publishes_less,
        ignores_offsets,
        refuses_everything,
        forgets_uploads,
        forgets_keys,
        manifest_first,
        leaves_temporaries,
        leaves_history,
        forgets_seals,
    )
}
