"""No training sample saw its own day, and no negative is an item the user interacted with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import dagster as dg

from recsys_pipeline.checks.common import daily_check, partitions, table
from recsys_pipeline.engines.steps import SAMPLES
from recsys_pipeline.engines.view import View
from recsys_pipeline.transforms.leakage import find_leaks

CHECKED_ROWS = 200


def _leakage(view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    stored = [p for p in partitions(view, SAMPLES, days) if view.records(SAMPLES, p[0])[p[1]].file]
    if not stored:
        return dg.AssetCheckResult(passed=True, description="No samples on these days")
    tenants = {tenant for _, tenant in stored}
    history = [p for p in view.effective("interactions", max(days)) if p[1] in tenants]
    leaks = find_leaks(
        view.store.scan(SAMPLES, stored).collect(),
        view.valid("interactions", history),
        sample_size=CHECKED_ROWS,
        seed=view.settings.seed,
    )
    metadata: dict[str, object] = {"checked_rows": CHECKED_ROWS, "leaks": leaks.height}
    if leaks.height:
        metadata["leaking"] = table(leaks.columns, leaks.rows())
    return dg.AssetCheckResult(
        passed=leaks.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{leaks.height} leaks in {CHECKED_ROWS} rows derived again from the events",
        metadata=metadata,  # type: ignore[arg-type]  # Dagster's raw metadata values
    )


LEAKAGE_CHECKS = [
    daily_check(
        "training_samples",
        "leakage",
        "Derives features of sampled rows again from the events before their day, the slow way, "
        "and looks for negatives that the user had interacted with.",
        _leakage,
        blocking=True,
    )
]
