"""Rows are conserved, and a tenant's bad day is held back and named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from recsys_pipeline.checks.common import daily_check, partitions, table
from recsys_pipeline.engines.view import QUARANTINED, VALIDATED, View

if TYPE_CHECKING:
    from recsys_pipeline.storage.landing import Kind


def _conservation(kind: Kind, view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    wanted = set(days)
    landed = {p: found.rows for p, found in view.landed(kind).items() if p[0] in wanted}
    asset = VALIDATED[kind]
    broken = []
    total = dict.fromkeys(("landed", "valid", "duplicate", "rejected", "held"), 0)
    for day, tenant in sorted(set(partitions(view, asset, days)) | set(landed)):
        record = view.records(asset, day).get(tenant)
        bad = view.records(QUARANTINED[kind], day).get(tenant)
        counts = record.counts if record else {}
        rows = landed.get((day, tenant), 0)
        held = counts.get("held", 0)
        published = 0 if held else (record.rows if record else 0)
        quarantined = bad.rows if bad else 0
        if rows != published + held + quarantined:
            broken.append((day.isoformat(), tenant, rows, published, quarantined, held))
        total["landed"] += rows
        for name in ("valid", "duplicate", "rejected", "held"):
            total[name] += counts.get(name, 0)
    total["valid"] -= total["held"]
    metadata: dict[str, object] = dict(total)
    if broken:
        columns = ("date", "tenant", "landed", "valid", "quarantined", "held")
        metadata["not_conserved"] = table(columns, broken)
    words = ", ".join(f"{name} {count:,}" for name, count in total.items())
    return dg.AssetCheckResult(
        passed=not broken,
        description=f"{words}" + (f"; {len(broken)} (day, tenant) do not add up" if broken else ""),
        metadata=metadata,  # type: ignore[arg-type]  # Dagster's raw metadata values
    )


def _limit(kind: Kind, view: View) -> dg.AssetCheckResult:
    asset = VALIDATED[kind]
    held = []
    for day in view.published_days(asset):
        for tenant, record in sorted(view.records(asset, day).items()):
            if not record.held:
                continue
            counts = record.counts
            rows = counts["landed"] - counts["parked"]
            rejected = counts["rejected"] - counts["parked"]
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
            "Rows landed = valid + duplicates + rejected + held, per day and tenant.",
            lambda view, days: _conservation(kind, view, days),
            blocking=True,
        ),
        daily_check(
            VALIDATED[kind],
            f"{kind}_quarantine_limit",
            "Names each tenant's day that is held because too many of its rows were rejected, "
            "whichever days the run is for.",
            lambda view, _: _limit(kind, view),
        ),
    ]


QUARANTINE_CHECKS = [*_checks("interactions"), *_checks("items")]
