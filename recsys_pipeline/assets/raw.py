"""Step 1: the landing zone. Rows are already there when a day is materialised.

Every ingestion path commits to the Delta tables `raw_interactions` and `raw_items`; materialising
a day records which version, how many rows and whose they are.
"""

from datetime import date

import dagster as dg

from recsys_pipeline.assets.common import (
    OWNERS,
    SINGLE_RUN,
    freshness,
    run_days,
    run_view,
)
from recsys_pipeline.contract_metadata import stored
from recsys_pipeline.engines.effective import CODE_VERSIONS, digest
from recsys_pipeline.partitions import daily
from recsys_pipeline.resources.pipeline import Pipeline
from recsys_pipeline.storage.landing import Kind, LandedContent


def _record(context: dg.AssetExecutionContext, pipeline: Pipeline, kind: Kind) -> str:
    view = run_view(context, pipeline)
    landed = view.landed(kind)
    sizes = view.snapshots[kind].bytes_by_day()
    if refused := sorted(view.refused):
        context.log.warning("not run, absent from tenants.toml: %s", ", ".join(refused))
    contents: list[str] = []
    by_day: dict[date, dict[str, LandedContent]] = {}
    for (day, tenant), found in sorted(landed.items()):
        by_day.setdefault(day, {})[tenant] = found
    for day in run_days(context):
        of_day = by_day.get(day, {})
        contents += [f"{day}{tenant}{found.content}" for tenant, found in of_day.items()]
        table = "\n".join(
            ["| tenant | rows |", "|---|---:|"]
            + [f"| {t} | {f.rows:,} |" for t, f in of_day.items()]
        )
        context.add_asset_metadata(
            {
                "dagster/partition_row_count": sum(found.rows for found in of_day.values()),
                "bytes": sizes.get(day, 0),
                "tenants": len(of_day),
                "rows_by_tenant": dg.MetadataValue.md(table),
                "landing_version": view.snapshots[kind].version,
            },
            partition_key=day.isoformat(),
        )
    return digest(*contents)


@dg.asset(
    partitions_def=daily,
    backfill_policy=SINGLE_RUN,
    group_name="raw",
    deps=["interactions_topic", "uploads"],
    kinds={"deltalake"},
    owners=OWNERS,
    code_version=CODE_VERSIONS["raw_interactions"],
    metadata=stored("raw_interactions"),
    freshness_policy=freshness(),
)
def raw_interactions(
    context: dg.AssetExecutionContext, pipeline: Pipeline
) -> dg.MaterializeResult[None]:
    """Events as received, in a Delta table by event day and tenant.

    Append-only. A row whose day can't be known is parked under the day of its receipt.
    Materialising a day records its landing version and row counts; it copies nothing.
    """
    version = _record(context, pipeline, "interactions")
    return dg.MaterializeResult(data_version=dg.DataVersion(version))


@dg.asset(
    partitions_def=daily,
    backfill_policy=SINGLE_RUN,
    group_name="raw",
    deps=["items_topic", "uploads"],
    kinds={"deltalake"},
    owners=OWNERS,
    code_version=CODE_VERSIONS["raw_items"],
    metadata=stored("raw_items"),
)
def raw_items(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
    """Catalogue item versions as received, in a Delta table by version day and tenant.

    A version's day is its `updated_at`; without one, the start date for an item never seen
    before and the day of receipt for a known one. So a catalogue loaded once serves all days.
    """
    version = _record(context, pipeline, "items")
    return dg.MaterializeResult(data_version=dg.DataVersion(version))


RAW = [raw_interactions, raw_items]
