"""No training sample saw its own day, and no negative is an item that the user did more than view."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from recsys_pipeline.checks.common import daily_check, partitions, table
from recsys_pipeline.engines.sealed import sealed_sums
from recsys_pipeline.engines.steps import SAMPLES, sample_columns, sample_inputs
from recsys_pipeline.engines.view import View
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import CATALOGUE_FEATURES, SAMPLE_KEYS, TrainingSample
from recsys_pipeline.storage.records import Partition
from recsys_pipeline.transforms.leakage import find_leaks

CHECKED_ROWS = 200  # of each tenant
CHECKED_DAYS = 20  # of each tenant, spread over the range


def _leakage(view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    stored = [p for p in partitions(view, SAMPLES, days) if view.records(SAMPLES, p[0])[p[1]].file]
    if not stored:
        return dg.AssetCheckResult(passed=True, description="No samples on these days")
    passed_over = _passed_over(view, stored)
    schema = _columns(view)
    read = rows = 0
    found = []
    for tenant in sorted({tenant for _, tenant in stored}):
        chosen = _choose(view, [p for p in stored if p[1] == tenant and p not in passed_over])
        if not chosen:
            continue
        samples = view.store.scan(SAMPLES, chosen, schema).collect()
        history = [p for p in view.effective("interactions", chosen[-1][0]) if p[1] == tenant]
        events = view.valid("interactions", history)
        sealed = sealed_sums(view, tenant)
        found.append(find_leaks(samples, events, CHECKED_ROWS, view.settings.seed, sealed))
        read += len(chosen)
        rows += min(samples.height, CHECKED_ROWS)
    leaks = sum(frame.height for frame in found)
    metadata: dict[str, object] = {
        "checked_rows": rows,
        "checked_partitions": read,
        "passed_over": len(passed_over),
        "leaks": leaks,
    }
    words = (
        f"{leaks} leaks in {rows:,} rows derived again from the events, "
        f"of {read} of {len(stored)} (day, tenant)"
    )
    if leaks:
        leaking = pl.concat(found)
        metadata["leaking"] = table(leaking.columns, leaking.rows())
    if passed_over:
        skipped = [(str(day), tenant, why) for (day, tenant), why in passed_over.items()]
        metadata["not_judged"] = table(("date", "tenant", "why"), skipped)
        words += f"; {len(passed_over)} passed over as held or stale"
    return dg.AssetCheckResult(
        passed=not leaks,
        severity=dg.AssetCheckSeverity.ERROR,
        description=words,
        metadata=metadata,  # type: ignore[arg-type]  # Dagster's raw metadata values
    )


def _passed_over(view: View, stored: Sequence[Partition]) -> dict[Partition, str]:
    """Return the samples made from other events than those seen today, and why.

    Today's events can't tell what they leak: a held day keeps its samples while earlier days
    take late events.
    """
    last = max(day for day, _ in stored)
    events, items = view.chains("interactions", last), view.chains("items", last)
    seen = view.effective("interactions", last)
    found: dict[Partition, str] = {}
    for partition in stored:
        record = view.intact(SAMPLES, partition)
        if record and record.inputs == sample_inputs(view, partition, events, items):
            continue
        held = partition in seen and seen[partition].held
        found[partition] = "held" if held else "stale" if record else "not the recorded file"
    return found


def _choose(view: View, current: Sequence[Partition]) -> list[Partition]:
    """Choose a tenant's partitions, spread over the range, whose rows fit in `chunk_rows`."""
    for count in range(min(CHECKED_DAYS, len(current)), 0, -1):
        step = (len(current) - 1) / max(count - 1, 1)
        chosen = [current[round(n * step)] for n in range(count)]
        rows = sum(view.records(SAMPLES, day)[tenant].rows for day, tenant in chosen)
        if rows <= view.settings.chunk_rows:
            return chosen
    return list(current[-1:])


def _columns(view: View) -> dict[str, pl.DataType]:
    """Return the columns that the check looks at, with their dtypes."""
    unread = {
        "sampling_probability",
        "conditional_probability",
        *(f"item_{name}" for name in CATALOGUE_FEATURES),
    }
    wanted = {*SAMPLE_KEYS, *sample_columns(view)} - unread
    return {n: dtype for n, dtype in frame_schema(TrainingSample).items() if n in wanted}


LEAKAGE_CHECKS = [
    daily_check(
        "training_samples",
        "leakage",
        "Derives features of sampled rows of each tenant again from the events before their day, "
        "the slow way, and looks for negatives that the user had interacted with, or, of the source "
        "`viewed`, had not viewed or done more with.",
        _leakage,
        blocking=True,
    )
]
