"""Batches: what was landed together, under which idempotency key, and how to withdraw it.

A batch's record is written before its rows are committed. Whether the rows are in the table is
asked of the table, never of the record, so that a crash between the two leaves no lie.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta  # pydantic reads them at run time
from typing import TYPE_CHECKING, Literal

import polars as pl

from recsys_pipeline.errors import LandingError
from recsys_pipeline.ingestion.batch_records import (
    Batch,
    Counts,
    Tally,
    batch_id_of,
    find_record,
    load_record,
    record_path,
    records,
    save_record,
)
from recsys_pipeline.storage.landing import TABLES, Kind, Landing, LandingSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

State = Literal["landed", "retracted", "unfinished"]


@dataclass(frozen=True)
class AlreadyLanded:
    """The same source has landed before; `batch` is that landing."""

    batch: Batch


@dataclass(frozen=True)
class BatchStatus:
    """A batch's record and what the table says of it."""

    batch: Batch
    state: State


@dataclass(frozen=True)
class Retraction:
    """A withdrawn batch: the rows removed, and the days that are stale now, in order."""

    batch: Batch
    rows: int
    days: tuple[date, ...]


def implicit_key(tenant: str, kind: Kind, content: str, mapping: str | None) -> str:
    """Derive the idempotency key of an upload that brings none.

    Args:
        tenant: Owner of the rows.
        kind: Table that they land in.
        content: Hash of the source's bytes.
        mapping: What decides how the bytes are read: the mapping's content or its hash.

    Returns:
        64 hexadecimal digits.
    """
    parts = json.dumps([tenant, kind, content, mapping])
    return hashlib.blake2b(parts.encode(), digest_size=32).hexdigest()


def plan_batch(  # noqa: PLR0913  # by name
    landing: Landing,
    *,
    tenant: str,
    source: str,
    key: str,
    mapping: str | None,
    received_at: datetime,
    idempotency_days: int,
    replaces: str | None = None,
    explicit: bool = False,
) -> Batch | AlreadyLanded:
    """Decide whether a source lands, and as which batch.

    A repeat of a landed key changes nothing, unless the earlier landing was retracted or is older
    than `idempotency_days`. For items a key made of content matches only the tenant's latest batch:
    a price that goes back to an earlier one is an update. A key of the sender's own (`explicit`)
    matches any.

    Raises:
        LandingError: `replaces` names no landed batch of this tenant and kind, or the source has
            landed under another batch, so that nothing would replace it.
    """
    snapshot = landing.snapshot()
    committed = snapshot.sequence(tenant, key)
    if committed is not None:
        only_latest = landing.kind == "items" and not explicit
        before = _repeated(landing, snapshot, tenant, key, committed, only_latest=only_latest)
        if before is not None and received_at - before.received_at < timedelta(
            days=idempotency_days
        ):
            if replaces not in {None, before.batch_id} and not snapshot.is_retracted(str(replaces)):
                raise LandingError(
                    f"batch {replaces}",
                    f"can't be replaced by {source}, which has landed as {before.batch_id}",
                    f"Run: recsys batches retract {replaces}",
                )
            return AlreadyLanded(before)
    if replaces is not None:
        _check_replaced(landing, snapshot, tenant, replaces)
    sequence = (committed or 0) + 1
    return Batch(
        batch_id=batch_id_of(key, sequence),
        kind=landing.kind,
        tenant=tenant,
        source=source,
        key=key,
        sequence=sequence,
        mapping=mapping,
        received_at=received_at,
        replaces=replaces,
    )


def land_batch(
    landing: Landing, batch: Batch, frames: Iterable[pl.DataFrame], *, start_date: date
) -> Batch | AlreadyLanded:
    """Land a planned batch's rows in one transaction and record it.

    Args:
        landing: The table.
        batch: What `plan_batch` returned.
        frames: Rows of the landing schema, with the batch's id.
        start_date: First partition, for `Counts.before_start`.

    Returns:
        The batch with its counts, or the landing that a concurrent process made of it.

    Raises:
        ContractError: A frame is not of the landing schema.
        LandingError: Other writers won every attempt.
    """
    save_record(landing, batch)
    tally = Tally(start_date)
    landed = landing.append(
        tally.watch(frames),
        tenant=batch.tenant,
        key=batch.key,
        sequence=batch.sequence,
        replaces=batch.replaces,
    )
    if not landed:
        return AlreadyLanded(_completed(landing, landing.snapshot(), batch, start_date))
    done = replace(batch, counts=tally.counts())
    save_record(landing, done)
    return done


def list_batches(
    root: str, *, kind: Kind | None = None, tenant: str | None = None
) -> list[BatchStatus]:
    """Return the batches with a record, latest first."""
    found: list[BatchStatus] = []
    for table in TABLES if kind is None else (kind,):
        landing = Landing(root, table)
        snapshot = landing.snapshot()
        found += [BatchStatus(batch, _state(snapshot, batch)) for batch in records(landing, tenant)]
    return sorted(found, key=lambda one: (one.batch.received_at, one.batch.batch_id), reverse=True)


def show_batch(root: str, batch_id: str, *, start_date: date) -> BatchStatus:
    """Return one batch; counts lost to a crash are counted again from the table.

    Raises:
        LandingError: There is no batch of that id.
    """
    landing, batch = find_record(root, batch_id)
    snapshot = landing.snapshot()
    return BatchStatus(_completed(landing, snapshot, batch, start_date), _state(snapshot, batch))


def tenant_batch(
    root: str, tenant: str, batch_id: str, *, start_date: date
) -> tuple[BatchStatus, tuple[date, ...]] | None:
    """Return one batch of a tenant and the days on which it has rows now; None where it has none.

    Batches of other tenants are not looked at.
    """
    for kind in TABLES:
        landing = Landing(root, kind)
        batch = load_record(landing, record_path(kind, tenant, batch_id))
        if batch is not None:
            snapshot = landing.snapshot()
            done = _completed(landing, snapshot, batch, start_date)
            return BatchStatus(done, _state(snapshot, batch)), _days(snapshot, batch_id)
    return None


def batch_days(root: str, batch_id: str) -> tuple[date, ...]:
    """Return the days on which a batch has rows now, in order.

    Raises:
        LandingError: There is no batch of that id.
    """
    landing, _ = find_record(root, batch_id)
    return _days(landing.snapshot(), batch_id)


def retract_batch(root: str, batch_id: str, *, start_date: date) -> Retraction:
    """Withdraw a batch in one transaction; its record stays.

    Raises:
        LandingError: There is no batch of that id, it never landed, or it was withdrawn before.
    """
    status = show_batch(root, batch_id, start_date=start_date)
    if status.state == "retracted":
        raise LandingError(f"batch {batch_id}", "is already retracted", "Nothing is left to do")
    if status.state == "unfinished":
        raise LandingError(
            f"batch {batch_id}", "never landed", "Nothing is left to do; ingest it to land it"
        )
    days = batch_days(root, batch_id)
    rows = Landing(root, status.batch.kind).retract(batch_id)
    return Retraction(status.batch, rows, days)


def _days(snapshot: LandingSnapshot, batch_id: str) -> tuple[date, ...]:
    days = snapshot.batch(batch_id).select(pl.col("date").unique().sort())
    return tuple(days.collect(engine="streaming")["date"])


def _state(snapshot: LandingSnapshot, batch: Batch) -> State:
    if snapshot.is_retracted(batch.batch_id):
        return "retracted"
    committed = snapshot.sequence(batch.tenant, batch.key)
    return "unfinished" if committed is None or committed < batch.sequence else "landed"


def _repeated(
    landing: Landing,
    snapshot: LandingSnapshot,
    tenant: str,
    key: str,
    sequence: int,
    *,
    only_latest: bool,
) -> Batch | None:
    """Return the landed batch that a repeat of the key repeats."""
    batch_id = batch_id_of(key, sequence)
    if snapshot.is_retracted(batch_id):
        return None
    batch = load_record(landing, record_path(landing.kind, tenant, batch_id)) or _from_rows(
        landing, snapshot, tenant, key, sequence
    )
    if only_latest and snapshot.latest_batch(tenant) not in {batch_id, None}:
        return None
    return batch


def _from_rows(
    landing: Landing, snapshot: LandingSnapshot, tenant: str, key: str, sequence: int
) -> Batch | None:
    """Rebuild a lost record from the rows; None when the batch has none."""
    batch_id = batch_id_of(key, sequence)
    row = snapshot.batch(batch_id).select("source", "received_at").head(1).collect()
    if row.is_empty():
        return None
    source, received_at = row.row(0)
    return Batch(batch_id, landing.kind, tenant, source, key, sequence, None, received_at)


def _completed(
    landing: Landing, snapshot: LandingSnapshot, batch: Batch, start_date: date
) -> Batch:
    """Fill in counts that a crash between commit and record has lost."""
    stored = load_record(landing, record_path(batch.kind, batch.tenant, batch.batch_id)) or batch
    if stored.counts is not None or _state(snapshot, stored) != "landed":
        return stored
    tally = Tally(start_date)
    columns = snapshot.batch(batch.batch_id).select("date", "parked", "problem")
    tally.add(columns.collect(engine="streaming"))
    done = replace(stored, counts=tally.counts())
    save_record(landing, done)
    return done


def _check_replaced(
    landing: Landing, snapshot: LandingSnapshot, tenant: str, batch_id: str
) -> None:
    batch = load_record(landing, record_path(landing.kind, tenant, batch_id))
    if batch is None or _state(snapshot, batch) != "landed":
        state = "is no batch" if batch is None else f"is {_state(snapshot, batch)}, not a batch"
        raise LandingError(
            f"batch {batch_id}",
            f"{state} of landed {landing.kind} of tenant {tenant!r}",
            f"See the ids with: recsys batches list --tenant {tenant} --kind {landing.kind}",
        )


__all__ = [
    "AlreadyLanded",
    "Batch",
    "BatchStatus",
    "Counts",
    "Retraction",
    "State",
    "batch_days",
    "implicit_key",
    "land_batch",
    "list_batches",
    "plan_batch",
    "retract_batch",
    "show_batch",
    "tenant_batch",
]
