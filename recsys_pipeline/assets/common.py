"""What the assets share: owners, kinds, freshness and the days of a run."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from recsys_pipeline.engines.view import View
from recsys_pipeline.partitions import days_of
from recsys_pipeline.settings import get_settings

if TYPE_CHECKING:
    from recsys_pipeline.resources.pipeline import Pipeline

OWNERS = ["team:recommendations"]
PARQUET = {"polars", "parquet"}
SINGLE_RUN = dg.BackfillPolicy.single_run()


def freshness() -> dg.FreshnessPolicy:
    """Return the policy that warns when an asset was not materialised for a while."""
    hours = get_settings().freshness_hours
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=2 * hours), warn_window=timedelta(hours=hours)
    )


def run_view(context: dg.AssetExecutionContext, pipeline: Pipeline) -> View:
    """Return the run's view; a retried step pins the landing anew."""
    return pipeline.view(context.instance, context.run.run_id, repin=context.retry_number > 0)


def run_days(context: dg.AssetExecutionContext) -> list[date]:
    """Return the days of the run's partitions, in order."""
    return days_of(list(context.partition_keys))
