"""Every stored table keeps its Pandera contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from recsys_pipeline.checks.common import daily_check, partitions, table
from recsys_pipeline.engines.view import View
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.tables import CONTRACTS
from recsys_pipeline.storage.landing import Kind
from recsys_pipeline.storage.records import Partition

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
    broken: list[tuple[str, str, str, int]] = []
    for group in _groups(asset, view, days):
        frame = _read(asset, view, group)
        rows += frame.height
        if not violations(model, frame):
            continue
        # Pandera costs 50 ms a call whatever the rows: days are judged apart only to name them
        for (day,), of_day in frame.group_by("date", maintain_order=True):
            broken += [(str(day), *found) for found in violations(model, of_day)]
    failing = sum(entry[-1] for entry in broken)
    metadata: dict[str, object] = {"rows": rows, "failures": failing}
    if broken:
        metadata["failing"] = table(("date", "column", "rule", "rows"), broken)
    return dg.AssetCheckResult(
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{rows:,} rows, {failing:,} failures",
        metadata=metadata,  # type: ignore[arg-type]  # Dagster's raw metadata values
    )


def _groups(asset: str, view: View, days: Sequence[date]) -> Iterator[list[Partition]]:
    """Group the partitions of some days so that a group's rows stay within `chunk_rows`."""
    sizes: dict[Partition, int]
    if asset.startswith("raw_"):
        landed = view.landed(_kind(asset))
        sizes = {p: found.rows for p, found in landed.items() if p[0] in set(days)}
    else:
        sizes = {
            p: record.rows
            for p in partitions(view, asset, days)
            if (record := view.records(asset, p[0])[p[1]]).file
        }
    group: list[Partition] = []
    total = 0
    for partition, rows in sorted(sizes.items()):
        if group and total + rows > view.settings.chunk_rows:
            yield group
            group, total = [], 0
        group.append(partition)
        total += rows
    if group:
        yield group


def _read(asset: str, view: View, group: Sequence[Partition]) -> pl.DataFrame:
    if asset.startswith("raw_"):
        days, tenants = {day for day, _ in group}, {tenant for _, tenant in group}
        return view.snapshots[_kind(asset)].scan(days, tenants).collect()
    return view.store.scan(asset, group, frame_schema(CONTRACTS[asset])).collect()


def _kind(asset: str) -> Kind:
    return "interactions" if asset == "raw_interactions" else "items"


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
