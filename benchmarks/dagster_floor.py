"""What Dagster itself takes for a range: eight assets that do nothing, one event per partition.

Run: .venv/bin/python -m benchmarks.dagster_floor --days 90

It has the repository's own `dagster.yaml`, so also the event log that stores events in batches.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.data import START

ASSETS = 8


def measure(days: int) -> float:
    """Return the seconds of one range run in a new instance."""
    import dagster as dg

    partitions = dg.DailyPartitionsDefinition(START.isoformat())

    def asset(number: int) -> dg.AssetsDefinition:
        @dg.asset(
            name=f"asset_{number}",
            partitions_def=partitions,
            backfill_policy=dg.BackfillPolicy.single_run(),
            deps=[f"asset_{number - 1}"] if number else [],
        )
        def nothing() -> None:
            return None

        return nothing

    job = dg.define_asset_job("range")
    definitions = dg.Definitions(
        [asset(n) for n in range(ASSETS)], jobs=[job], executor=dg.in_process_executor
    )
    last = START + timedelta(days=days - 1)
    tags = {
        "dagster/asset_partition_range_start": START.isoformat(),
        "dagster/asset_partition_range_end": last.isoformat(),
    }
    resolved = definitions.resolve_job_def("range")
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.get() as instance:
        began = time.perf_counter()
        resolved.execute_in_process(instance=instance, tags=tags, run_config=config)
        return time.perf_counter() - began


def main() -> None:
    """Measure a few times and print the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = "500"
    taken = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as home:
            shutil.copy("dagster.yaml", Path(home) / "dagster.yaml")
            os.environ["DAGSTER_HOME"] = home
            taken.append(measure(options.days))
    print(f"{ASSETS} assets, {options.days} days: {statistics.median(taken):.2f} s")


if __name__ == "__main__":
    main()
