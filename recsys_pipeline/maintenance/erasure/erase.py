"""Erasure of users: remembered first, so that nothing of theirs lands any more; then removed everywhere.

Every step may be done again: a killed erasure goes on when the command is given again, or with the next
`finish`. A writer that had read who was erased before they were may commit until `STAGED` later, so a
last pass, by hashes alone, begins after that; what it settles is over.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.engines.sealed import seal_without
from recsys_pipeline.engines.state_files import kept_state
from recsys_pipeline.errors import SettingsError
from recsys_pipeline.maintenance.erasure.metadata import erase_metadata
from recsys_pipeline.maintenance.erasure.published import TABLES, erase_published
from recsys_pipeline.maintenance.erasure.receipt import Layer, Pass, Receipt, receipts, save
from recsys_pipeline.maintenance.erasure.releases import erase_releases
from recsys_pipeline.storage.delta_files import STAGED
from recsys_pipeline.storage.erased import Subject, Subjects, read_erased, remember
from recsys_pipeline.storage.horizons import sweep_sealed
from recsys_pipeline.storage.landing_erasure import ErasableLanding
from recsys_pipeline.storage.layout import states_prefix
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore
from recsys_pipeline.storage.records import Pin
from recsys_pipeline.tenants import UNASSIGNED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore

Ids = frozenset[tuple[str, str | None]]


def erase(
    settings: Settings,
    tenant: str,
    ids: Ids,
    *,
    further: Callable[[Ids], Iterator[Layer]] | None = None,
    watch: Callable[[Layer], None] | None = None,
) -> Receipt:
    """Erase users of a tenant.

    Args:
        settings: The storage root and the metadata database.
        tenant: The tenant.
        ids: User ids; each with an item id where only its events are to go.
        further: Erases from what is not below the root.
        watch: Called after each layer.

    Returns:
        The receipt, which is kept.

    Raises:
        SettingsError: No id, or an empty one.
        LandingError: Other writers won every attempt; what was removed before stays removed.
        StorageError: What is stored can't be read.
    """
    if not ids or any(not user or item == "" for user, item in ids):
        raise SettingsError("--user", "is empty", "Give the id as it was sent")
    objects = open_store(settings.storage_root)
    now = _now()
    subjects = remember(objects, tenant, ids, now)
    receipt = Receipt(
        receipt=f"{now[:10]}-{secrets.token_hex(4)}",
        tenant=tenant,
        subjects=tuple((one.user, one.item) for one in sorted(subjects.erased, key=str)),
        requested_at=now,
    )
    layers = _layers(settings, objects, subjects)
    return _go(objects, receipt, chain(layers, further(ids) if further else ()), watch)


def finish(
    settings: Settings,
    tenant: str | None = None,
    *,
    again: bool = False,
    watch: Callable[[Layer], None] | None = None,
) -> list[Receipt]:
    """Go through all layers again for erasures that are not settled, by the hashes of ids.

    Args:
        settings: The storage root and the metadata database.
        tenant: Only this tenant's.
        again: Those that are settled too: what was restored from a backup may be older than they are.
        watch: Called after each layer.

    Returns:
        Their receipts.
    """
    objects = open_store(settings.storage_root)
    done = []
    for receipt in receipts(objects, tenant):
        if again or receipt.settled_at is None:
            erased = frozenset(Subject(*one) for one in receipt.subjects)
            subjects = Subjects(receipt.tenant, read_erased(objects).key, erased)
            done.append(_go(objects, receipt, _layers(settings, objects, subjects), watch))
    return done


def _go(
    objects: ObjectStore,
    receipt: Receipt,
    layers: Iterator[Layer],
    watch: Callable[[Layer], None] | None,
) -> Receipt:
    """Go through layers, and keep on the receipt what was done after each."""
    began = datetime.now(UTC)
    current = Pass(began_at=_now())
    before = receipt.passes
    save(objects, receipt.model_copy(update={"passes": (*before, current)}))
    for layer in layers:
        current = current.model_copy(update={"layers": (*current.layers, layer)})
        save(objects, receipt.model_copy(update={"passes": (*before, current)}))
        if watch is not None:
            watch(layer)
    current = current.model_copy(update={"ended_at": _now()})
    settles = began - datetime.fromisoformat(receipt.requested_at) > STAGED + timedelta(hours=1)
    settled_at = _now() if settles and not current.found else None
    receipt = receipt.model_copy(update={"passes": (*before, current), "settled_at": settled_at})
    save(objects, receipt)
    return receipt


def _layers(settings: Settings, objects: ObjectStore, subjects: Subjects) -> Iterator[Layer]:
    """Erase layer by layer; the landing first, so that what is made meanwhile is made without them."""
    tenants = {subjects.tenant, UNASSIGNED}
    # of whom an item was erased, rows that were computed since are right
    computed = subjects if subjects.plain else subjects.wholly()
    landing = ErasableLanding(settings.storage_root, "interactions")
    removed = landing.remove(tenants, subjects.rows)
    yield Layer(
        name="raw_interactions",
        looked_at=removed.looked_at,
        changed=removed.files + removed.deleted,
        rows=removed.rows,
        waiting=removed.waiting,
    )
    pin = Pin(
        landing.snapshot().version,
        ErasableLanding(settings.storage_root, "items").snapshot().version,
    )
    store = ParquetStore(objects)
    for table, is_computed in TABLES.items():
        theirs = computed if is_computed else subjects
        yield erase_published(store, table, theirs, tenants, pin)
    yield _states(objects, computed)
    yield _sealed(objects, computed)
    yield erase_releases(objects, computed)
    objects.sweep(STAGED)
    yield erase_metadata(settings.metadata_url, subjects)


def _states(objects: ObjectStore, subjects: Subjects) -> Layer:
    """Delete kept states with a user of theirs, or that can't be read: they are made again."""
    found = objects.list(states_prefix(subjects.tenant))
    deleted = 0
    for path in found:
        state = kept_state(objects, path)
        if state is None or any(
            subjects.ids(pl.Series(bucket.entities.ids)) for bucket in state.buckets
        ):
            objects.delete(path)
            deleted += 1
    return Layer(name="kept states", looked_at=len(found), changed=deleted)


def _sealed(objects: ObjectStore, subjects: Subjects) -> Layer:
    """Take them out of the state that retention has left of old events, and of earlier ones."""
    users = seal_without(objects, subjects.tenant, subjects.ids)
    lost = sweep_sealed(objects, subjects.tenant)
    return Layer(name="sealed state", changed=min(users, 1) + lost, rows=users)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
