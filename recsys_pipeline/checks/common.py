"""What the checks share: the days of a run, and a factory that keeps them daily."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import dagster as dg

from recsys_pipeline.engines.view import View
from recsys_pipeline.partitions import daily, days_of
from recsys_pipeline.resources.pipeline import Pipeline

MAX_TABLE_ROWS = 50

Judge = Callable[[View, Sequence[date]], dg.AssetCheckResult]


def daily_check(
    asset: str,
    name: str,
    description: str,
    judge: Judge,
    *,
    blocking: bool = False,
) -> dg.AssetChecksDefinition:
    """Make an asset check that judges the days of its run.

    A check without `partitions_def` on a partitioned asset would load every partition
    (dagster#17005).
    """

    @dg.asset_check(
        asset=asset,
        name=name,
        description=description,
        blocking=blocking,
        partitions_def=daily,
    )
    def check(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
        view = pipeline.view(context.instance, context.run.run_id)
        return judge(view, days_of(list(context.partition_keys)))

    return check


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dg.TableMetadataValue:
    """Return rows as a metadata table, cut to a readable length."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({c: _cell(v) for c, v in zip(columns, row, strict=True)})
            for row in rows[:MAX_TABLE_ROWS]
        ],
        schema=dg.TableSchema([dg.TableColumn(c) for c in columns]),
    )


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def partitions(view: View, asset: str, days: Sequence[date]) -> list[tuple[date, str]]:
    """Return the (day, tenant) pairs of some days that have something published."""
    return [
        (day, tenant)
        for day in days
        for tenant in sorted(view.records(asset, day))
        if view.tenants is None or tenant in view.tenants
    ]
