"""Warnings about what arrives: volume, parked rows, and events on unknown items."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg
import polars as pl

from recsys_pipeline.checks.common import daily_check, partitions, table
from recsys_pipeline.engines.view import View
from recsys_pipeline.storage.landing_snapshot import KAFKA_BATCHES

WEEK = 7
WARN = dg.AssetCheckSeverity.WARN


def _volume(view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    rows = {p: found.rows for p, found in view.landed("interactions").items()}
    tenants = sorted({tenant for _, tenant in rows})
    first = {tenant: min(d for d, t in rows if t == tenant) for tenant in tenants}
    moved = []
    least = max(view.settings.volume_min_rows, 1)
    for day in days:
        for tenant in tenants:
            # a tenant's first week has no trailing week to compare with
            if day < first[tenant] + timedelta(days=WEEK):
                continue
            week = [rows.get((day - timedelta(days=n), tenant), 0) for n in range(1, WEEK + 1)]
            mean = sum(week) / WEEK
            today = rows.get((day, tenant), 0)
            limit = view.config(tenant).volume_change_limit
            if mean >= least and abs(today - mean) / mean > limit:
                moved.append(
                    (day.isoformat(), tenant, today, round(mean), f"{today / mean - 1:+.0%}")
                )
    if not moved:
        return dg.AssetCheckResult(
            passed=True,
            severity=WARN,
            description="Within the range of the trailing week",
            metadata={"moved_count": 0},
        )
    day_, tenant, today, mean, change = moved[0]
    return dg.AssetCheckResult(
        passed=False,
        severity=WARN,
        description=f"{tenant} on {day_}: {today:,} events, {change} against {mean:,} a day before"
        + (f"; {len(moved) - 1} more" if len(moved) > 1 else ""),
        metadata={
            "moved": table(("date", "tenant", "rows", "trailing_mean", "change"), moved),
            "moved_count": len(moved),
        },
    )


def _parked(view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    limit = view.settings.parked_limit
    of_days = view.snapshots["interactions"].scan(set(days), view.tenants)
    found = of_days.filter("parked").select("batch_id").unique().collect().to_series().sort()
    # a topic's partition is one batch without end: its rows of these days are judged
    streamed = found.str.starts_with(KAFKA_BATCHES)
    shares = pl.concat(
        [
            *(
                _parked_share(view.snapshots["interactions"].batch(b), view)
                for b in found.filter(~streamed)
            ),
            _parked_share(
                of_days.filter(pl.col("batch_id").is_in(found.filter(streamed).implode())), view
            ),
        ]
    ).collect()
    over = [
        (batch, tenant, parked, rows, f"{parked / rows:.1%}")
        for batch, tenant, rows, parked in shares.iter_rows()
        if parked / rows > limit
    ]
    if not over:
        return dg.AssetCheckResult(
            passed=True,
            severity=WARN,
            description=f"No batch has over {limit:.0%} parked rows",
            metadata={"batch_count": 0},
        )
    return dg.AssetCheckResult(
        passed=False,
        severity=WARN,
        description=f"Batch {over[0][0]} of {over[0][1]}: {over[0][4]} of its rows have no known day",
        metadata={
            "batches": table(("batch", "tenant", "parked", "rows", "share"), over),
            "batch_count": len(over),
        },
    )


def _parked_share(rows: pl.LazyFrame, view: View) -> pl.LazyFrame:
    """Count the rows of batches by tenant, and those of them that are parked."""
    if view.tenants is not None:
        rows = rows.filter(pl.col("tenant").is_in(sorted(view.tenants)))
    return rows.group_by("batch_id", "tenant").agg(
        pl.len().alias("rows"), pl.col("parked").sum().alias("parked")
    )


def _unknown_items(view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    found = partitions(view, "validated_interactions", days)
    catalogue = [
        p
        for p in view.effective("items", max(days))
        if view.tenants is None or p[1] in view.tenants
    ]
    if not catalogue:
        return dg.AssetCheckResult(
            passed=True, severity=WARN, description="No tenant has a catalogue"
        )
    known = (
        view.valid("items", catalogue)
        .group_by("tenant", "item_id")
        .agg(pl.col("date").min().alias("known_from"))
    )
    with_catalogue = {tenant for _, tenant in catalogue}
    unknown_item = pl.col("known_from").is_null() | (pl.col("known_from") > pl.col("date"))
    shares = (
        view.valid("interactions", [p for p in found if p[1] in with_catalogue])
        .join(known, on=["tenant", "item_id"], how="left")
        .group_by("date", "tenant")
        .agg(pl.len().alias("rows"), unknown_item.sum().alias("unknown"))
        .sort("date", "tenant")
        .collect()
    )
    total = unknown_total = 0
    over = []
    for day, tenant, rows, unknown in shares.iter_rows():
        total += rows
        unknown_total += unknown
        if unknown / rows > view.config(tenant).unknown_item_limit:
            over.append((day.isoformat(), tenant, unknown, rows, f"{unknown / rows:.1%}"))
    share = unknown_total / total if total else 0.0
    metadata: dict[str, object] = {"unknown_item_share": share, "rows": total}
    if over:
        metadata["over"] = table(("date", "tenant", "unknown", "rows", "share"), over)
    return dg.AssetCheckResult(
        passed=not over,
        severity=WARN,
        description=f"{share:.1%} of events are on items outside the catalogue",
        metadata=metadata,  # type: ignore[arg-type]  # Dagster's raw metadata values
    )


ARRIVAL_CHECKS = [
    daily_check(
        "raw_interactions",
        "volume",
        "Events per day stay near the mean of the trailing week, per tenant.",
        _volume,
    ),
    daily_check(
        "raw_interactions",
        "parked_rows",
        "Few rows of each batch are parked because their day can't be known.",
        _parked,
    ),
    daily_check(
        "validated_interactions",
        "unknown_items",
        "Few events are on items outside the catalogue, per tenant.",
        _unknown_items,
    ),
]
