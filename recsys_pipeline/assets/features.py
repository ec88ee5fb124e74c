"""Step 3: features of the users and items active on a day, as of its end."""

import dagster as dg

from recsys_pipeline.assets.common import OWNERS, PARQUET, SINGLE_RUN, run_days, run_view
from recsys_pipeline.contract_metadata import contract_type, stored
from recsys_pipeline.engines.effective import CODE_VERSIONS
from recsys_pipeline.engines.steps import features
from recsys_pipeline.partitions import daily
from recsys_pipeline.resources.pipeline import Pipeline


@dg.asset(
    partitions_def=daily,
    backfill_policy=SINGLE_RUN,
    group_name="features",
    deps=["validated_interactions"],
    io_manager_key="parquet",
    kinds=PARQUET,
    owners=OWNERS,
    code_version=CODE_VERSIONS["user_features"],
    metadata=stored("user_features"),
    dagster_type=contract_type("user_features"),
)
def user_features(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.Output[object]:
    """One row per user active on the day: features over all events up to `as_of`, the day's end.

    History is read as of each day, whatever has been run before; see the column descriptions
    for the formulas.
    """
    view = run_view(context, pipeline)
    return dg.Output(features(view, "user", run_days(context), force=pipeline.force))


@dg.asset(
    partitions_def=daily,
    backfill_policy=SINGLE_RUN,
    group_name="features",
    deps=["validated_interactions"],
    io_manager_key="parquet",
    kinds=PARQUET,
    owners=OWNERS,
    code_version=CODE_VERSIONS["item_features"],
    metadata=stored("item_features"),
    dagster_type=contract_type("item_features"),
)
def item_features(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.Output[object]:
    """One row per item with events on the day: features over all events up to the day's end."""
    view = run_view(context, pipeline)
    return dg.Output(features(view, "item", run_days(context), force=pipeline.force))


FEATURE_ASSETS = [user_features, item_features]
