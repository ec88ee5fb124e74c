"""Step 2: landed rows split into valid rows and quarantine, with a reason for each of the latter."""

from collections.abc import Iterator

import dagster as dg

from recsys_pipeline.assets.common import (
    OWNERS,
    PARQUET,
    SINGLE_RUN,
    freshness,
    run_days,
    run_view,
)
from recsys_pipeline.contract_metadata import contract_type, stored
from recsys_pipeline.engines.effective import CODE_VERSIONS
from recsys_pipeline.engines.publication import DayContent
from recsys_pipeline.engines.steps import validated_days
from recsys_pipeline.engines.view import QUARANTINED, VALIDATED
from recsys_pipeline.partitions import daily
from recsys_pipeline.resources.pipeline import Pipeline
from recsys_pipeline.storage.landing import Kind

_HELD = (
    "A (day, tenant) whose share of rejected rows is over its limit is *held*: nothing new of it "
    "is published until `recsys quarantine accept` or a corrected upload."
)


def _split(
    context: dg.AssetExecutionContext, pipeline: Pipeline, kind: Kind
) -> Iterator[dg.Output[object]]:
    view = run_view(context, pipeline)
    days = run_days(context)
    yield dg.Output(validated_days(view, kind, days, force=pipeline.force), VALIDATED[kind])
    # published with the valid rows, day by day: what is left is to report it
    yield dg.Output((DayContent(day, {}) for day in days), QUARANTINED[kind])


def _outs(kind: Kind, valid: str, quarantined: str) -> dict[str, dg.AssetOut]:
    return {
        name: dg.AssetOut(
            io_manager_key="parquet",
            description=description,
            code_version=CODE_VERSIONS[name],
            metadata=stored(name),
            dagster_type=contract_type(name),
            freshness_policy=freshness() if name == "validated_interactions" else None,
            group_name="validated",
            owners=OWNERS,
            kinds=PARQUET,
        )
        for name, description in ((VALIDATED[kind], valid), (QUARANTINED[kind], quarantined))
    }


@dg.multi_asset(
    name="split_interactions",
    partitions_def=daily,
    backfill_policy=SINGLE_RUN,
    deps=["raw_interactions"],
    outs=_outs(
        "interactions",
        f"Accepted events: typed, within the contract, without repeats.\n\n{_HELD}",
        "Events that were not accepted: rejected by a rule, or repeats of a kept event; each with "
        "its reasons and the text that was received.",
    ),
)
def validated_interactions(
    context: dg.AssetExecutionContext, pipeline: Pipeline
) -> Iterator[dg.Output[object]]:
    """Split landed events into valid rows and quarantine."""
    yield from _split(context, pipeline, "interactions")


@dg.multi_asset(
    name="split_items",
    partitions_def=daily,
    backfill_policy=SINGLE_RUN,
    deps=["raw_items"],
    outs=_outs(
        "items",
        "Valid item versions of the day; the catalogue as of a day is the latest version of each "
        f"item up to its end.\n\n{_HELD}",
        "Item versions that were not accepted, each with its reasons.",
    ),
)
def validated_items(
    context: dg.AssetExecutionContext, pipeline: Pipeline
) -> Iterator[dg.Output[object]]:
    """Split landed item versions into valid rows and quarantine."""
    yield from _split(context, pipeline, "items")


VALIDATED_ASSETS = [validated_interactions, validated_items]
