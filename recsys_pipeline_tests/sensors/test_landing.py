"""Landed rows ask for the days that they touch, once, and compaction asks for nothing."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from recsys_pipeline.engines.pending import pending_days, standings
from recsys_pipeline.jobs import daily_pipeline
from recsys_pipeline.maintenance.retention import Retention
from recsys_pipeline.resources.pipeline import open_view
from recsys_pipeline.sensors import attempts
from recsys_pipeline.sensors.landing import landing_sensor
from recsys_pipeline.settings import get_settings
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore
from recsys_pipeline_tests.landed import START, event, item_version, land, run_days


@pytest.fixture
def root(use, tmp_path):
    use(landing_debounce_seconds=0, start_date="2025-01-01")
    return tmp_path


def ranges(data) -> list[tuple[str, str]]:
    return [
        (r.tags["dagster/asset_partition_range_start"], r.tags["dagster/asset_partition_range_end"])
        for r in data.run_requests
    ]


def clicks(day, count=3, tenant="acme"):
    return [event(tenant, day, n, f"u{n}", f"i{n}", "click") for n in range(count)]


def test_touched_days_are_asked_for_as_few_ranges(root, tick, launch):
    assert ranges(tick(landing_sensor)) == []
    land(root, clicks(0) + clicks(1) + clicks(100), "a")
    land(root, [item_version(day=0)], "b", "items")
    data = tick(landing_sensor)
    assert ranges(data) == [("2025-01-01", "2025-01-02"), ("2025-04-11", "2025-04-11")]
    assert launch(data, daily_pipeline) == [True, True]
    data = tick(landing_sensor)
    assert ranges(data) == []
    assert data.skip_message == "Nothing has landed since the last request"
    assert pending_days(open_view()) == []


def test_a_late_event_asks_for_its_day_and_leaves_the_later_ones_stale(root, tick, launch):
    land(root, clicks(0) + clicks(5), "a")
    launch(tick(landing_sensor), daily_pipeline)
    land(root, clicks(2), "late")
    data = tick(landing_sensor)
    assert ranges(data) == [("2025-01-03", "2025-01-03")]
    assert launch(data, daily_pipeline) == [True]
    # the daily schedule makes what follows from it
    assert pending_days(open_view()) == [START + timedelta(days=5)]


@pytest.mark.slow
def test_later_days_follow_at_once_where_the_setting_says_so(root, tick, launch, use):
    use(landing_debounce_seconds=0, late_days="at_once")
    land(root, clicks(0) + clicks(5), "a")
    launch(tick(landing_sensor), daily_pipeline)
    land(root, clicks(2), "late")
    data = tick(landing_sensor)
    assert ranges(data) == [("2025-01-03", "2025-01-06")]
    assert launch(data, daily_pipeline) == [True]
    assert all(standing.state == "current" for standing in standings(open_view()))


def test_compaction_asks_for_nothing(root, tick, launch):
    for n in range(4):
        land(root, clicks(0), f"b{n}")
    launch(tick(landing_sensor), daily_pipeline)
    landing = Landing(str(root), "interactions")
    before = landing.snapshot().version
    landing.compact()
    assert landing.snapshot().version > before
    data = tick(landing_sensor)
    assert ranges(data) == []
    assert data.skip_message == "Nothing has landed since the last request"


def test_days_that_retention_takes_out_of_the_landing_are_not_asked_for(root, tick):
    land(root, clicks(0) + clicks(5), "a")
    run_days(get_settings(), [START, START + timedelta(days=5)])
    tick(landing_sensor)
    settings = get_settings().model_copy(update={"retention": {"events": 3}})
    store = ParquetStore(open_store(str(root)))
    (step,) = Retention(settings, store, START + timedelta(days=7), ["acme"]).apply()
    assert step.state == "done"
    assert ranges(tick(landing_sensor)) == []
    # nor what lands in them after that
    land(root, clicks(0, 1) + clicks(5, 1), "late")
    assert ranges(tick(landing_sensor)) == [("2025-01-06", "2025-01-06")]


def test_what_lands_during_a_run_is_asked_for_after_it(root, tick, instance, record):
    land(root, clicks(0), "a")
    (request,) = tick(landing_sensor).run_requests
    run = record(request, daily_pipeline, dg.DagsterRunStatus.STARTED)
    land(root, clicks(1), "b")
    land(root, clicks(2), "c")
    data = tick(landing_sensor)
    assert ranges(data) == []
    assert run.run_id[:8] in data.skip_message
    instance.report_run_canceled(run)
    data = tick(landing_sensor)
    assert ranges(data) == [("2025-01-02", "2025-01-03")]


def test_requests_are_some_time_apart(root, tick, use):
    use(landing_debounce_seconds=60)
    land(root, clicks(0), "a")
    assert len(tick(landing_sensor).run_requests) == 1
    land(root, clicks(1), "b")
    data = tick(landing_sensor)
    assert data.skip_message == "The last request is too recent"
    use(landing_debounce_seconds=0)
    assert ranges(tick(landing_sensor)) == [("2025-01-02", "2025-01-02")]


def test_days_whose_run_failed_are_asked_for_again(root, tick, record, monkeypatch):
    land(root, clicks(0), "a")
    (request,) = tick(landing_sensor).run_requests
    record(request, daily_pipeline, dg.DagsterRunStatus.FAILURE)
    data = tick(landing_sensor)
    assert "has failed 1 times" in data.skip_message
    land(root, clicks(90), "b")  # does not push out what is still owed
    assert ranges(tick(landing_sensor)) == [("2025-04-01", "2025-04-01")]
    monkeypatch.setattr(attempts, "FIRST_DELAY", timedelta(0))
    (again,) = tick(landing_sensor).run_requests
    assert again.tags["dagster/asset_partition_range_start"] == "2025-01-01"
    assert again.tags["recsys/attempt"] == "2"
    assert again.run_key != request.run_key


def test_a_log_that_was_cleaned_is_no_loss(root, tick, launch):
    land(root, clicks(0), "a")
    launch(tick(landing_sensor), daily_pipeline)
    land(root, clicks(3), "b")
    land(root, clicks(4), "c")
    landing = Landing(str(root), "interactions")
    landing.compact()  # nothing to merge: a checkpoint
    version = landing.snapshot().version
    for entry in (root / "raw_interactions" / "_delta_log").glob("*.json"):
        if int(entry.stem) < version:
            entry.unlink()
    assert ranges(tick(landing_sensor)) == [("2025-01-04", "2025-01-05")]
