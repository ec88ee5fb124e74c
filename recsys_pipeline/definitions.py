"""What Dagster loads: wiring only."""

from __future__ import annotations

import dagster as dg

from recsys_pipeline.assets.dataset import DATASET_ASSETS
from recsys_pipeline.assets.features import FEATURE_ASSETS
from recsys_pipeline.assets.raw import RAW
from recsys_pipeline.assets.sources import SOURCES
from recsys_pipeline.assets.training import TRAINING_ASSETS
from recsys_pipeline.assets.validated import VALIDATED_ASSETS
from recsys_pipeline.checks.arrivals import ARRIVAL_CHECKS
from recsys_pipeline.checks.contract import CONTRACT_CHECKS
from recsys_pipeline.checks.leakage import LEAKAGE_CHECKS
from recsys_pipeline.checks.quarantine import QUARANTINE_CHECKS
from recsys_pipeline.checks.release import RELEASE_CHECKS
from recsys_pipeline.io_manager import ParquetIOManager
from recsys_pipeline.jobs import daily_pipeline, release_job
from recsys_pipeline.landing_job import kafka_landing
from recsys_pipeline.resources.console_log import log_runs
from recsys_pipeline.resources.pipeline import Pipeline
from recsys_pipeline.schedules import daily_schedule, release_schedule, upkeep_schedule
from recsys_pipeline.sensors.alerts import failed_runs_sensor, recovered_runs_sensor
from recsys_pipeline.sensors.kafka import kafka_sensor
from recsys_pipeline.sensors.landing import landing_sensor
from recsys_pipeline.sensors.notices import notices_sensor
from recsys_pipeline.settings import get_settings
from recsys_pipeline.upkeep_job import upkeep_job

log_runs(get_settings())

pipeline = Pipeline()

defs = dg.Definitions(
    assets=[
        *SOURCES,
        *RAW,
        *VALIDATED_ASSETS,
        *FEATURE_ASSETS,
        *TRAINING_ASSETS,
        *DATASET_ASSETS,
    ],
    asset_checks=[
        *CONTRACT_CHECKS,
        *QUARANTINE_CHECKS,
        *ARRIVAL_CHECKS,
        *LEAKAGE_CHECKS,
        *RELEASE_CHECKS,
    ],
    jobs=[daily_pipeline, release_job, kafka_landing, upkeep_job],
    schedules=[daily_schedule, release_schedule, upkeep_schedule],
    sensors=[
        *(kafka_sensor, landing_sensor, notices_sensor),
        *(failed_runs_sensor, recovered_runs_sensor),
    ],
    resources={"pipeline": pipeline, "parquet": ParquetIOManager(pipeline=pipeline)},
    # measured: 0.5 s for five small steps, against 30 s with a process a step
    executor=dg.in_process_executor,
)
