"""Facts of the pinned stack that the code leans on: an upgrade that changes one fails here."""

import multiprocessing
import os
import re
import warnings
from datetime import date
from pathlib import Path

import dagster as dg
import pandera.errors
import pandera.polars
import polars as pl
import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from pandera.config import ValidationDepth, config_context

from recsys_pipeline.upstream_warnings import KNOWN


class _Positive(pandera.polars.DataFrameModel):
    value: pl.Int64 = pandera.polars.Field(ge=0)


def test_pandera_passes_an_invalid_lazy_frame_at_its_default_depth():
    bad = pl.LazyFrame({"value": [-1]})
    assert _Positive.validate(bad).collect().height == 1
    with (
        config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA),
        pytest.raises((pandera.errors.SchemaError, pandera.errors.SchemaErrors)),
    ):
        _Positive.validate(bad).collect()


def test_polars_reads_a_hive_level_as_a_column_that_the_file_lacks(tmp_path):
    path = tmp_path / "date=2025-01-01" / "tenant=007" / "part-0.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame({"x": [1]}).write_parquet(path)
    schema = {"date": pl.Date(), "tenant": pl.String()}
    frame = pl.scan_parquet([path], hive_partitioning=True, hive_schema=schema).collect()
    assert frame.row(0, named=True) == {"x": 1, "date": date(2025, 1, 1), "tenant": "007"}


def test_polars_writes_the_same_bytes_twice(tmp_path):
    frame = pl.DataFrame({"x": list(range(10_000)), "y": ["a", "b"] * 5_000})
    for name in ("one", "two"):
        frame.write_parquet(tmp_path / name, compression="zstd", compression_level=1)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_polars_divides_by_a_scalar_as_a_product_with_its_reciprocal():
    quotient = pl.DataFrame({"x": [3, 2]}).select(pl.col("x") / 5)["x"][0]
    assert quotient != 3 / 5  # so shares are divided in NumPy


def test_delta_refuses_a_second_commit_of_an_app_transaction_through_an_older_table(tmp_path):
    schema = pa.schema([("x", pa.int64())])
    DeltaTable.create(tmp_path, schema=Schema.from_arrow(schema))
    first, second = DeltaTable(tmp_path), DeltaTable(tmp_path)
    rows = pa.table({"x": [1]}, schema=schema)
    once = CommitProperties(app_transactions=[Transaction("upload", 1)])
    write_deltalake(first, rows, mode="append", commit_properties=once)
    with pytest.raises(CommitFailedError):
        write_deltalake(second, rows, mode="append", commit_properties=once)


def test_dagster_runs_a_range_of_single_run_assets_as_one_step():
    seen = []

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition("2025-01-01"),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def ranged(context: dg.AssetExecutionContext) -> None:
        seen.append(list(context.partition_keys))

    tags = {
        "dagster/asset_partition_range_start": "2025-01-01",
        "dagster/asset_partition_range_end": "2025-01-03",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([ranged], instance=instance, tags=tags)
    assert seen == [["2025-01-01", "2025-01-02", "2025-01-03"]]
    assert len(result.asset_materializations_for_node("ranged")) == 3


def test_an_io_manager_may_give_each_partition_its_metadata_and_set_the_data_version():
    class Manager(dg.IOManager):
        def handle_output(self, context, obj):
            step = context.step_context
            step.add_asset_metadata(
                {"n": 1}, asset_key=context.asset_key, partition_key="2025-01-02"
            )
            step.set_data_version(context.asset_key, dg.DataVersion("ours"))

        def load_input(self, context): ...

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition("2025-01-01"),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def ranged() -> int:
        return 1

    tags = {
        "dagster/asset_partition_range_start": "2025-01-01",
        "dagster/asset_partition_range_end": "2025-01-02",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [ranged], instance=instance, tags=tags, resources={"io_manager": Manager()}
        )
    made = {m.partition: m for m in result.asset_materializations_for_node("ranged")}
    assert "n" not in made["2025-01-01"].metadata
    assert made["2025-01-02"].metadata["n"].value == 1
    assert made["2025-01-02"].tags["dagster/data_version"] == "ours"


def test_dagster_evaluates_no_partition_of_a_check_in_a_range():
    """So the UI calls a check with partitions skipped, and ours have none."""
    days = dg.DailyPartitionsDefinition("2025-01-01")

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def one() -> None: ...

    @dg.asset_check(asset=one, partitions_def=days)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    tags = {
        "dagster/asset_partition_range_start": "2025-01-01",
        "dagster/asset_partition_range_end": "2025-01-03",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([one, check], instance=instance, tags=tags)
        key = dg.AssetCheckKey(dg.AssetKey("one"), "check")
        found = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
    statuses = {record.partition: record.status.value for record in found}
    planned = {f"2025-01-0{day}": "PLANNED" for day in (1, 2, 3)}
    assert statuses == planned | {None: "SUCCEEDED"}


def test_the_silenced_warnings_still_exist():
    """A pattern that matches nothing any more is a filter to remove."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        days = dg.DailyPartitionsDefinition("2025-01-01")

        @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
        def one() -> None: ...

    messages = [str(w.message) for w in caught]
    unused = [p for p in KNOWN if not any(re.match(p, message) for message in messages)]
    assert unused == []


def _hold(path: str, ready, release) -> None:
    import fcntl

    with Path(path).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        ready.set()
        release.wait(30)


def test_a_lock_is_released_when_its_process_is_killed(tmp_path):
    import fcntl

    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    path = tmp_path / "lock"
    holder = context.Process(target=_hold, args=(str(path), ready, release))
    holder.start()
    assert ready.wait(30)
    with path.open("a") as handle, pytest.raises(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert holder.pid
    os.kill(holder.pid, 9)
    holder.join(10)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
