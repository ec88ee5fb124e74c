"""Step 4: training samples of a day, joined with features as of before it."""

import dagster as dg

from recsys_pipeline.assets.common import OWNERS, PARQUET, SINGLE_RUN, run_days, run_view
from recsys_pipeline.contract_metadata import contract_type, stored
from recsys_pipeline.engines.effective import CODE_VERSIONS
from recsys_pipeline.engines.steps import samples
from recsys_pipeline.partitions import daily
from recsys_pipeline.resources.pipeline import Pipeline


@dg.asset(
    partitions_def=daily,
    backfill_policy=SINGLE_RUN,
    group_name="training",
    deps=["validated_interactions", "validated_items", "user_features", "item_features"],
    io_manager_key="parquet",
    kinds=PARQUET,
    owners=OWNERS,
    code_version=CODE_VERSIONS["training_samples"],
    metadata=stored("training_samples"),
    dagster_type=contract_type("training_samples"),
)
def training_samples(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.Output[object]:
    """Positives of the day, sampled negatives for each, and features as of before the day.

    No feature saw an event of the day or later, and no negative is an item that the user had
    interacted with by the end of the day. The first three columns alone are a training file.
    Samples of a day that is not over are provisional.
    """
    return dg.Output(samples(run_view(context, pipeline), run_days(context), force=pipeline.force))


TRAINING_ASSETS = [training_samples]
