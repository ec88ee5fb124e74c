"""Every stored table keeps its Pandera contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from recsys_pipeline.checks.common import daily_check, partitions, table
from recsys_pipeline.engines.view import View
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.tables import CONTRACTS

if TYPE_CHECKING:
    import pandera.polars as pa

Violation = tuple[str, str, int]


def violations(model: type[pa.DataFrameModel], frame: pl.DataFrame) -> list[Violation]:
    """Validate a frame against its contract, rows included.

    Returns:
        (column, rule, rows at fault) for each rule broken; never a value of a row.
    """
    import pandera.errors
    from pandera.config import ValidationDepth, config_context

    schema = model.to_schema()
    try:
        # at the default depth a lazy frame would have its schema checked only
        with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        grouped = cases.group_by("column", "check").len().sort("column", "check")
        return [(column or "table", rule, rows) for column, rule, rows in grouped.iter_rows()]
    return []


def _judge(asset: str, view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    model = CONTRACTS[asset]
    rows = 0
    broken: list[tuple[str, str, str, str, int]] = []
    for day, frame in _frames(asset, view, days):
        rows += frame.height
        for column, rule, count in violations(model, frame):
            broken.append((day.isoformat(), asset, column, rule, count))
    failing = sum(entry[-1] for entry in broken)
    metadata: dict[str, object] = {"rows": rows, "failures": failing}
    if broken:
        metadata["failing"] = table(("date", "asset", "column", "rule", "rows"), broken)
    return dg.AssetCheckResult(
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{rows:,} rows, {failing:,} failures",
        metadata=metadata,  # type: ignore[arg-type]  # Dagster's raw metadata values
    )


def _frames(asset: str, view: View, days: Sequence[date]) -> list[tuple[date, pl.DataFrame]]:
    """Return an iterator of one frame a day, so that a range stays out of memory."""
    if asset.startswith("raw_"):
        snapshot = view.snapshots["interactions" if asset == "raw_interactions" else "items"]
        return ((day, snapshot.scan({day}, view.tenants).collect()) for day in days)  # type: ignore[return-value]  # lazily
    schema = frame_schema(CONTRACTS[asset])
    stored = [p for p in partitions(view, asset, days) if view.records(asset, p[0])[p[1]].file]
    by_day: dict[date, list[tuple[date, str]]] = {}
    for partition in stored:
        by_day.setdefault(partition[0], []).append(partition)
    return ((day, view.store.scan(asset, found, schema).collect()) for day, found in by_day.items())  # type: ignore[return-value]  # lazily


def _contract_check(asset: str) -> dg.AssetChecksDefinition:
    return daily_check(
        asset,
        "contract",
        f"Every row keeps the contract `{CONTRACTS[asset].__name__}`.",
        lambda view, days: _judge(asset, view, days),
        # rows of our own making that break a contract are our bug: nothing may follow
        blocking=not asset.startswith("raw_"),
    )


CONTRACT_CHECKS = [_contract_check(asset) for asset in CONTRACTS]
