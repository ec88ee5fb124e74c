"""Every stored table keeps its Pandera contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from recsys_pipeline.checks.common import daily_check, footers, partitions, table
from recsys_pipeline.engines.view import View
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.tables import CONTRACTS
from recsys_pipeline.storage.landing import Kind
from recsys_pipeline.storage.parquet_store import HIVE_SCHEMA
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


def column_violations(model: type[pa.DataFrameModel], columns: pl.Schema | None) -> list[Violation]:
    """Compare the columns inside a published file with its contract.

    Args:
        model: The contract.
        columns: The file's own columns, without hive levels; None when it can't be read.

    Returns:
        (column, rule, 1) for each column that is too many, missing, of another dtype or out of
        order. Columns that the contract does not require may be missing.
    """
    if columns is None:
        return [("file", "present and readable", 1)]
    contract = model.to_schema().columns
    stored = [name for name in contract if name not in HIVE_SCHEMA]
    found: list[Violation] = [(name, "in contract", 1) for name in columns if name not in stored]
    for name in stored:
        expected = contract[name].dtype.type
        if name not in columns:
            found += [(name, "in file", 1)] if contract[name].required else []
        elif columns[name] != expected:
            found.append((name, f"dtype {expected}", 1))
    known = [name for name in columns if name in stored]
    if known != [name for name in stored if name in columns]:
        found.append(("columns", "in order", 1))
    return found


def _judge(asset: str, view: View, days: Sequence[date]) -> dg.AssetCheckResult:
    model = CONTRACTS[asset]
    rows = 0
    broken: list[tuple[str, str | None, str, str, int]] = []
    sizes, broken_files = _sizes(asset, view, days)
    broken += broken_files
    for group in _groups(view, sizes):
        frame = _read(asset, view, group)
        rows += frame.height
        if not violations(model, frame):
            continue
        # Pandera costs 50 ms a call whatever the rows: days are judged apart only to name them
        for (day, tenant), part in frame.group_by("date", "tenant", maintain_order=True):
            broken += [(str(day), tenant, *found) for found in violations(model, part)]
    failing = sum(entry[-1] for entry in broken)
    metadata: dict[str, object] = {"rows": rows, "failures": failing}
    description = f"{rows:,} rows, {failing:,} failures"
    if broken:
        metadata["failing"] = table(("date", "tenant", "column", "rule", "rows"), broken)
        day, tenant, column, rule, _ = broken[0]
        description += f"; first {tenant} on {day}: `{column}`: {rule}"
    return dg.AssetCheckResult(
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=metadata,  # type: ignore[arg-type]  # Dagster's raw metadata values
    )


def _sizes(
    asset: str, view: View, days: Sequence[date]
) -> tuple[dict[Partition, int], list[tuple[str, str | None, str, str, int]]]:
    """Return the rows of each partition that can be read as its contract, and what is wrong."""
    if asset.startswith("raw_"):
        landed = view.landed(_kind(asset))
        return {p: found.rows for p, found in landed.items() if p[0] in set(days)}, []
    sizes = {
        p: record.rows
        for p in partitions(view, asset, days)
        if (record := view.records(asset, p[0])[p[1]]).file
    }
    broken: list[tuple[str, str | None, str, str, int]] = []
    for p, columns in footers(view, asset, sizes, pl.LazyFrame.collect_schema).items():
        wrong = column_violations(CONTRACTS[asset], columns)
        if wrong:
            broken += [(p[0].isoformat(), p[1], *found) for found in wrong]
            del sizes[p]
    return sizes, broken


def _groups(view: View, sizes: dict[Partition, int]) -> Iterator[list[Partition]]:
    """Group partitions so that a group's rows stay within `chunk_rows`."""
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
