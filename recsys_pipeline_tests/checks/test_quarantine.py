from __future__ import annotations

import polars as pl
import pytest

from recsys_pipeline.checks.quarantine import _conservation
from recsys_pipeline_tests.checks.published import bad_events, data_path, events, three_days
from recsys_pipeline_tests.landed import all_days, event, land, run_days, settings_for, view_of


def test_conserved_rows_pass(tmp_path):
    config = three_days(tmp_path)
    land(tmp_path, bad_events("acme", 0, 3), "bad")
    run_days(config, all_days(3))
    found = _conservation("interactions", view_of(config), all_days(3))
    assert found.passed
    assert found.metadata["landed"].value == 27
    assert found.metadata["rejected"].value == 3
    assert found.metadata["stale"].value == 0


@pytest.mark.parametrize("asset", ["validated_interactions", "quarantined_interactions"])
@pytest.mark.parametrize("rows", [1, None])
def test_a_file_that_lost_rows_fails(tmp_path, asset, rows):
    """The record still tells the rows as they were; the file tells what is left."""
    config = three_days(tmp_path)
    land(tmp_path, bad_events("acme", 0, 3), "bad")
    run_days(config, all_days(3))
    path = data_path(tmp_path, 0, asset)
    if rows is None:
        path.unlink()
    else:
        pl.read_parquet(path, hive_partitioning=False).head(rows).write_parquet(path)
    found = _conservation("interactions", view_of(config), all_days(1))
    assert not found.passed
    (row,) = found.metadata["not_conserved"].records
    assert (row.data["date"], row.data["tenant"]) == ("2025-01-01", "acme")


def test_a_day_that_has_moved_on_is_stale_and_lost_nothing(tmp_path):
    """The check run alone, after more rows have landed."""
    config = three_days(tmp_path)
    run_days(config, all_days(3))
    land(tmp_path, events("acme", 0, kind="like"), "later")
    land(tmp_path, [event("new", 0)], "first")
    found = _conservation("interactions", view_of(config), all_days(1))
    assert found.passed
    assert [tuple(row.data.values()) for row in found.metadata["stale_days"].records] == [
        ("2025-01-01", "acme"),
        ("2025-01-01", "new"),
    ]
    assert "2 (day, tenant) not judged" in found.description


def test_lost_rows_fail_beside_a_stale_day(tmp_path):
    config = three_days(tmp_path)
    run_days(config, all_days(3))
    land(tmp_path, events("acme", 0, kind="like"), "later")
    data_path(tmp_path, 0, tenant="beta").unlink()
    found = _conservation("interactions", view_of(config), all_days(1))
    assert not found.passed
    assert [row.data["tenant"] for row in found.metadata["not_conserved"].records] == ["beta"]


def test_a_held_day_without_a_valid_row_is_conserved(tmp_path):
    """It keeps the file published before, none of whose rows are landed any more."""
    from recsys_pipeline.storage.landing import Landing

    config = settings_for(tmp_path, quarantine_min_rows=3)
    land(tmp_path, events("acme", 0), "good")
    run_days(config, all_days(1))
    Landing(str(tmp_path), "interactions").retract("acme-good")
    land(tmp_path, bad_events("acme", 0, 20), "bad")
    view = run_days(config, all_days(1))
    assert view.records("validated_interactions", all_days(1)[0])["acme"].held
    assert _conservation("interactions", view, all_days(1)).passed
