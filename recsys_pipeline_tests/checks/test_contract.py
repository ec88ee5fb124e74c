from __future__ import annotations

import polars as pl
import pytest

from recsys_pipeline.checks.contract import _judge, column_violations
from recsys_pipeline.engines.pending import STORED
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.tables import CONTRACTS
from recsys_pipeline_tests.checks.published import bad_events, data_path, events, three_days
from recsys_pipeline_tests.landed import (
    all_days,
    item_version,
    land,
    run_days,
    settings_for,
    view_of,
)

ASSET = "validated_interactions"


def failing(found):
    return {tuple(row.data.values())[:4] for row in found.metadata["failing"].records}


def rewrite(path, change):
    change(pl.read_parquet(path, hive_partitioning=False)).write_parquet(path)


def test_every_published_table_keeps_its_contract(tmp_path):
    config = three_days(tmp_path)
    land(tmp_path, bad_events("acme", 0, 1), "bad")
    land(tmp_path, [item_version(item="i1"), item_version(item="i2", title="")], "i", "items")
    run_days(config, all_days(3))
    for asset in (*STORED, "raw_interactions", "raw_items"):
        found = _judge(asset, view_of(config), all_days(3))
        assert found.passed, asset
        assert found.metadata["rows"].value > 0, asset


def test_extra_and_missing_columns_fail_and_are_named(tmp_path):
    config = three_days(tmp_path)
    view = run_days(config, all_days(3))
    rewrite(data_path(tmp_path, 0), lambda f: f.drop("rating").with_columns(secret=pl.lit("x")))
    found = _judge(ASSET, view, all_days(1))
    assert not found.passed
    assert failing(found) == {
        ("2025-01-01", "acme", "rating", "in file"),
        ("2025-01-01", "acme", "secret", "in contract"),
    }
    assert "acme on 2025-01-01" in found.description


@pytest.mark.parametrize(
    ("change", "column", "rule"),
    [
        (lambda f: f.with_columns(pl.col("rating").cast(pl.Float32)), "rating", "dtype Float64"),
        (lambda f: f.select(pl.all().reverse(), tenant=pl.lit("x")), "tenant", "in contract"),
        (lambda f: f.select(sorted(f.columns)), "columns", "in order"),
        (lambda f: f.with_columns(rating=pl.lit(9.0)), "rating", "in_range(0, 5, True, True)"),
    ],
)
def test_a_file_of_another_shape_or_with_bad_rows_fails(tmp_path, change, column, rule):
    config = three_days(tmp_path)
    run_days(config, all_days(3))
    rewrite(data_path(tmp_path, 1), change)
    found = _judge(ASSET, view_of(config), all_days(3))
    assert not found.passed
    ((day, tenant, where, what),) = failing(found)
    assert (day, tenant, where) == ("2025-01-02", "acme", column)
    assert what.startswith(rule[:8])


def test_samples_may_lack_features_but_no_key():
    model = CONTRACTS["training_samples"]
    columns = frame_schema(model)
    for name in ("date", "tenant", "user_total_interactions", "item_price"):
        columns.pop(name)
    assert column_violations(model, columns) == []
    columns.pop("label")
    assert column_violations(model, columns) == [("label", "in file", 1)]


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_a_file_that_is_gone_or_torn_fails_with_its_partition(tmp_path, content):
    config = three_days(tmp_path)
    run_days(config, all_days(3))
    path = data_path(tmp_path, 1)
    path.unlink()
    if content:
        path.write_bytes(content)
    found = _judge(ASSET, view_of(config), all_days(3))
    assert not found.passed
    assert failing(found) == {("2025-01-02", "acme", "file", "present and readable")}


def test_a_held_day_whose_file_is_gone_is_survived(tmp_path):
    config = settings_for(tmp_path, quarantine_min_rows=3)
    land(tmp_path, events("acme", 0), "d0")
    run_days(config, all_days(1))
    land(tmp_path, bad_events("acme", 0, 20), "bad")
    data_path(tmp_path, 0).unlink()
    view = run_days(config, all_days(1))
    found = _judge(ASSET, view, all_days(1))
    assert found.passed == (view.records(ASSET, all_days(1)[0])["acme"].file is None)
