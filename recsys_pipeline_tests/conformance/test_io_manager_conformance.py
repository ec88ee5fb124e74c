"""The Parquet IO manager and the steps behave alike on a local disk and on S3."""

from __future__ import annotations

from datetime import date

import dagster as dg
import polars as pl
import pytest

from recsys_pipeline.io_manager import ParquetIOManager
from recsys_pipeline.partitions import RANGE_END, RANGE_START, daily
from recsys_pipeline.resources.pipeline import Pipeline
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore
from recsys_pipeline_tests.landed import (
    all_days,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)

DAY, NEXT = date(2025, 1, 1), date(2025, 1, 2)


def _frame(*rows):
    return pl.DataFrame(
        rows, schema={"date": pl.Date, "tenant": pl.String, "value": pl.Int64}, orient="row"
    )


def _materialize(value, first, last, tenants=(), expected=True):
    """Run an asset that returns `value` and one that reads it; return what was read."""
    seen = {}

    @dg.asset(
        partitions_def=daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="parquet",
    )
    def upstream():
        return value

    @dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
    def downstream(upstream: pl.LazyFrame) -> None:
        seen["type"] = type(upstream)
        seen["rows"] = upstream.sort("date", "tenant", "value").collect()

    pipeline = Pipeline(tenants=list(tenants))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [upstream, downstream],
            instance=instance,
            resources={"pipeline": pipeline, "parquet": ParquetIOManager(pipeline=pipeline)},
            tags={RANGE_START: first.isoformat(), RANGE_END: last.isoformat()},
            raise_on_error=expected,
        )
    assert result.success is expected
    return seen, result


def test_a_range_is_split_by_day_and_tenant_and_read_as_one_lazy_frame(root, use_root):
    use_root(root)
    rows = [(DAY, "acme", 1), (DAY, "beta", 2), (NEXT, "acme", 3)]
    seen, result = _materialize(_frame(*rows).lazy(), DAY, NEXT)
    assert seen["type"] is pl.LazyFrame
    assert seen["rows"].select("date", "tenant", "value").rows() == rows
    store = ParquetStore(open_store(root))
    assert sorted(store.objects.list("upstream/")) == [
        "upstream/date=2025-01-01/tenant=acme/part-0.parquet",
        "upstream/date=2025-01-01/tenant=beta/part-0.parquet",
        "upstream/date=2025-01-02/tenant=acme/part-0.parquet",
    ]
    counts = {
        event.partition: event.materialization.metadata["dagster/partition_row_count"].value
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("upstream")
    }
    assert counts == {"2025-01-01": 2, "2025-01-02": 1}


def test_one_partition_is_a_lazy_frame_too(root, use_root):
    use_root(root)
    seen, _ = _materialize(_frame((DAY, "acme", 1)), DAY, DAY)
    assert seen["type"] is pl.LazyFrame
    assert seen["rows"].height == 1


def test_an_empty_day_is_read_as_no_rows(root, use_root):
    use_root(root)
    seen, _ = _materialize(_frame((NEXT, "acme", 1)), DAY, NEXT)
    assert seen["rows"].height == 1


def test_a_rerun_replaces_and_removes(root, use_root):
    use_root(root)
    _materialize(_frame((DAY, "acme", 1), (DAY, "beta", 2)), DAY, DAY)
    seen, _ = _materialize(_frame((DAY, "acme", 5)), DAY, DAY)
    assert seen["rows"].get_column("value").to_list() == [5]
    assert list(ParquetStore(open_store(root)).objects.list("upstream/")) == [
        "upstream/date=2025-01-01/tenant=acme/part-0.parquet"
    ]


def test_a_run_for_one_tenant_leaves_the_others(root, use_root):
    use_root(root)
    _materialize(_frame((DAY, "acme", 1), (DAY, "beta", 2)), DAY, DAY)
    seen, _ = _materialize(_frame((DAY, "acme", 7)), DAY, DAY, tenants=["acme"])
    assert seen["rows"].get_column("value").to_list() == [7]
    stored = ParquetStore(open_store(root)).scan("upstream", [(DAY, "acme"), (DAY, "beta")])
    assert sorted(stored.collect().get_column("value")) == [2, 7]


@pytest.mark.parametrize(
    ("value", "tenants", "message"),
    [
        (_frame((date(2024, 5, 5), "acme", 1)), (), "has rows of 2024-05-05"),
        (_frame((DAY, "../x", 1)), (), "is not a tenant name"),
        (_frame((DAY, "beta", 1)), ("acme",), "outside this run"),
    ],
)
def test_rows_outside_the_run_are_refused(root, use_root, value, tenants, message):
    use_root(root)
    _, result = _materialize(value, DAY, DAY, tenants, expected=False)
    error = next(e for e in result.all_events if e.is_step_failure).step_failure_data.error
    assert message in error.cause.message
    assert not ParquetStore(open_store(root)).objects.list("upstream/")


def test_an_exception_while_writing_leaves_what_was_published(root, use_root):
    use_root(root)
    _materialize(_frame((DAY, "acme", 1)), DAY, DAY)
    broken = _frame((DAY, "acme", 2)).lazy().map_batches(_fail)
    _materialize(broken, DAY, DAY, expected=False)
    stored = ParquetStore(open_store(root)).scan("upstream", [(DAY, "acme")])
    assert stored.collect().get_column("value").to_list() == [1]


def _fail(frame):
    raise RuntimeError("the disk is on fire")


@pytest.mark.slow
def test_the_steps_publish_the_same_rows_on_every_store(root, tmp_path):
    """Content, not bytes: the local twin is computed beside it."""
    twin = tmp_path / "twin"
    for base in (root, twin):
        land(base, random_events(4, 60, 3), "a")
        land(base, [item_version(item=f"i{n}") for n in range(15)], "b", "items")
        run_days(settings_for(base), all_days(3))
    here, there = view_of(settings_for(root)), view_of(settings_for(twin))
    for asset in ("validated_interactions", "user_features", "training_samples"):
        contents = [
            {
                (d, t): r.content
                for d in v.published_days(asset)
                for t, r in v.records(asset, d).items()
            }
            for v in (here, there)
        ]
        assert contents[0]
        assert contents[0] == contents[1]


def test_the_lock_admits_one_holder_and_is_released(root):
    store = open_store(root)
    with store.lock("name"), store.lock("another name"):
        pass
    with store.lock("name"):
        pass
