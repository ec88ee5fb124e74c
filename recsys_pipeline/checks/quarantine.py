"""Rows are conserved, and a tenant's bad day is held back and named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from recsys_pipeline.checks.common import daily_check, file_rows, partitions, table
from recsys_pipeline.engines.view import QUARANTINED, VALIDATED, View
from recsys_pipeline.observability.held import tell_held
from recsys_pipeline.storage.records import Partition
from recsys_pipeline.transforms.validation import share_counts

if TYPE_CHECKING:
    from recsys_pipeline.storage.landing import Kind


def _is_stale(kind: Kind, view: View, partition: Partition) -> bool:
    """Return whether the landing has moved on since a (day, tenant) was last split."""
    day, tenant = partition
    record = view.records(VALIDATED[kind], day).get(tenant)
    bad = view.records(QUARANTINED[kind], day).get(tenant)
    return (
        record is None
        or record.inputs != view.rows_inputs(kind, partition)
        or bad is None
        or bad.inputs != view.quarantined_inputs(kind, partition)
    )


def _is_replaced(kind: Kind, view: View, partition: Partition) -> bool:
    """Return whether another run has published a (day, tenant) since this run recorded it."""
    day, tenant = partition
    return any(
        (view.store.records.day(asset, day) or {}).get(tenant) != view.records(asset, day)[tenant]
        for asset in (VALIDATED[kind], QUARANTINED[kind])
    )


def _rows(view: View, asset: str, wanted: Sequence[Partition]) -> dict[Partition, int]:
    """Return the rows of some partitions as their files have them; no file has none."""
    named = [
        p
        for p in wanted
        if (record := view.records(asset, p[0]).get(p[1])) and record.file and not record.held
    ]
    return {p: rows or 0 for p, rows in file_rows(view, asset, named).items()}


def _conservation(kind: Kind, view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    wanted = set(days)
    landed = {p: found.rows for p, found in view.landed(kind).items() if p[0] in wanted}
    asset = VALIDATED[kind]
    known = sorted(set(partitions(view, asset, days)) | set(landed))
    stale = [p for p in known if _is_stale(kind, view, p)]
    judged = sorted(set(known) - set(stale))
    valid = _rows(view, asset, judged)
    bad = _rows(view, QUARANTINED[kind], judged)
    broken = []
    total = dict.fromkeys(("landed", "valid", "duplicate", "rejected", "held"), 0)
    for day, tenant in judged:
        counts = view.records(asset, day)[tenant].counts
        rows = landed.get((day, tenant), 0)
        held = counts.get("held", 0)
        published, quarantined = valid.get((day, tenant), 0), bad.get((day, tenant), 0)
        if rows != published + held + quarantined:
            if _is_replaced(kind, view, (day, tenant)):
                stale.append((day, tenant))
                continue
            broken.append((day.isoformat(), tenant, rows, published, quarantined, held))
        total["landed"] += rows
        for name in ("valid", "duplicate", "rejected", "held"):
            total[name] += counts.get(name, 0)
    total["valid"] -= total["held"]
    metadata: dict[str, object] = {**total, "stale": len(stale)}
    words = ", ".join(f"{name} {count:,}" for name, count in total.items())
    if broken:
        columns = ("date", "tenant", "landed", "valid", "quarantined", "held")
        metadata["not_conserved"] = table(columns, broken)
        words += f"; {len(broken)} (day, tenant) do not add up"
    if stale:
        metadata["stale_days"] = table(("date", "tenant"), [(str(d), t) for d, t in stale])
        words += f"; {len(stale)} (day, tenant) not judged: the landing or another run has moved on"
    return dg.AssetCheckResult(
        passed=not broken,
        description=words,
        metadata=metadata,  # type: ignore[arg-type]  # Dagster's raw metadata values
    )


def _limit(kind: Kind, view: View) -> dg.AssetCheckResult:
    asset = VALIDATED[kind]
    held = []
    for day in view.published_days(asset):
        for tenant, record in sorted(view.records(asset, day).items()):
            if not record.held:
                continue
            rejected, rows = share_counts(record.counts)
            limit = view.quarantine_limit(kind, (day, tenant))
            held.append(
                (day.isoformat(), tenant, rejected, rows, f"{rejected / rows:.1%}", f"{limit:.1%}")
            )
    if not held:
        return dg.AssetCheckResult(
            passed=True,
            description="No tenant's day is over its limit",
            metadata={"held_count": 0},
        )
    first = held[0]
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"{len(held)} held; {first[1]} on {first[0]} has {first[4]} rejected (limit {first[5]}). "
            f"Look at {QUARANTINED[kind]}, then upload a correction or run "
            f"`recsys quarantine accept --tenant {first[1]} --date {first[0]} --kind {kind}`"
        ),
        metadata={
            "held": table(("date", "tenant", "rejected", "rows", "share", "limit"), held),
            "held_count": len(held),
        },
    )


def _checks(kind: Kind) -> list[dg.AssetChecksDefinition]:
    return [
        daily_check(
            VALIDATED[kind],
            f"{kind}_conserved",
            "Rows landed = valid + duplicates + rejected + held, per day and tenant, as the files "
            "have them.",
            lambda view, days: _conservation(kind, view, days),
            blocking=True,
        ),
        daily_check(
            VALIDATED[kind],
            f"{kind}_quarantine_limit",
            "Names each tenant's day that is held because too many of its rows were rejected, "
            "whichever days the run is for.",
            lambda view, _: _limit(kind, view),
            tell=lambda view, run: tell_held(view, kind, run),
        ),
    ]


QUARANTINE_CHECKS = [*_checks("interactions"), *_checks("items")]
