"""Failed runs are noted once, with what to do, and end with a success over the same days."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from recsys_pipeline.definitions import defs
from recsys_pipeline.observability.troubles import open_troubles
from recsys_pipeline.sensors.alerts import (
    failed_runs_sensor,
    makes_up,
    recovered_runs_sensor,
    trouble_of,
)
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.checks.published import events
from recsys_pipeline_tests.landed import START, land
from recsys_pipeline_tests.receiver import receiver

DAY = START.isoformat()
RANGE = {
    "dagster/asset_partition_range_start": DAY,
    "dagster/asset_partition_range_end": DAY,
    "recsys/tenants": "acme",
}


@pytest.fixture
def hook():
    with receiver() as server:
        yield server


@pytest.fixture
def root(use, tmp_path, hook):
    use(
        start_date="2025-01-01",
        alert_webhook_url=f"http://127.0.0.1:{hook.server_port}/",
        alert_webhook_secret="s",
        ui_url="https://ui.example",
    )
    land(tmp_path, events("acme", 0), "a")
    return tmp_path


def run(instance, tags=RANGE):
    job = defs.resolve_job_def("daily_pipeline")
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def tell(sensor, instance, result, kind):
    """Evaluate a sensor on a run, as the daemon does; return what it says."""
    event = next(e for e in reversed(result.all_events) if e.event_type_value == kind)
    context = dg.build_run_status_sensor_context(
        sensor.name, event, instance, instance.get_run_by_id(result.run_id)
    )
    if sensor is failed_runs_sensor:
        context = context.for_run_failure()
    return sensor(context)


@pytest.mark.slow
def test_a_failed_run_is_told_and_its_success_ends_it(root, instance, hook, monkeypatch):
    def fail(*_, **__):
        raise ValueError("a row of user u-secret")

    with monkeypatch.context() as patch:
        patch.setattr("recsys_pipeline.assets.features.features", fail)
        failed = run(instance)
    assert not failed.success
    for _ in range(2):
        tell(failed_runs_sensor, instance, failed, "PIPELINE_FAILURE")
    ((_, body),) = hook.calls
    data = json.loads(body)["data"]
    assert data["kind"] == "run_failed"
    assert data["asset"] in {"user_features", "item_features"}
    assert (data["tenant"], data["days"]) == ("acme", [DAY])
    assert data["command"] == f"recsys run --from {DAY} --to {DAY} --tenant acme"
    assert data["url"] == f"https://ui.example/runs/{failed.run_id}"
    assert "ValueError" in data["words"]
    assert "u-secret" not in body.decode()
    objects = open_store(str(root))
    assert [t.run for t in open_troubles(objects, "run_failed")] == [failed.run_id]
    good = run(instance)
    assert good.success
    tell(recovered_runs_sensor, instance, good, "PIPELINE_SUCCESS")
    assert json.loads(hook.calls[1][1])["type"] == "alert.resolved"
    assert list(open_troubles(objects, "run_failed")) == []


def test_words_of_our_own_errors_are_told(root, instance, monkeypatch):
    from recsys_pipeline.errors import StorageError

    def fail(*_, **__):
        raise StorageError("s3://bucket", "does not answer", "Run it again")

    monkeypatch.setattr("recsys_pipeline.assets.features.features", fail)
    failed = run(instance)
    event = next(e for e in failed.all_events if e.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        "failed_runs_sensor", event, instance, instance.get_run_by_id(failed.run_id)
    )
    words = trouble_of(context.for_run_failure()).words
    assert "s3://bucket: does not answer" in words


def test_a_receiver_that_is_down_does_not_fail_the_tick(root, instance, hook, monkeypatch):
    hook.status = 500
    monkeypatch.setattr("recsys_pipeline.assets.features.features", lambda *_, **__: 1 / 0)
    said = tell(failed_runs_sensor, instance, run(instance), "PIPELINE_FAILURE")
    assert "Told later" in said.skip_message


def fake(job="daily_pipeline", **tags):
    return dg.DagsterRun(job_name=job, run_id="r", tags=tags)


FIRST, LAST = RANGE_TAGS = (
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)


@pytest.mark.parametrize(
    ("days", "tenants", "job", "expected"),
    [
        (("2025-01-02", "2025-01-03"), "acme", "daily_pipeline", True),
        (("2025-01-01", "2025-01-09"), "", "daily_pipeline", True),
        (("2025-01-03", "2025-01-09"), "", "daily_pipeline", False),
        (("2025-01-01", "2025-01-02"), "", "daily_pipeline", False),
        (("2025-01-01", "2025-01-09"), "beta", "daily_pipeline", False),
        (("2025-01-01", "2025-01-09"), "", "release_job", False),
    ],
)
def test_what_makes_up_for_a_failure(days, tenants, job, expected):
    from recsys_pipeline.observability.troubles import Trouble

    trouble = Trouble(
        "run_failed", "user_features", "acme", "words", "recsys run",
        ("2025-01-02", "2025-01-03"), "r0", "daily_pipeline",
    )  # fmt: skip
    tags = {FIRST: days[0], LAST: days[1]} | ({"recsys/tenants": tenants} if tenants else {})
    assert makes_up(fake(job, **tags), trouble) == expected


def test_the_daily_pipeline_makes_up_for_a_selection_of_assets():
    from recsys_pipeline.observability.troubles import Trouble

    of = ("run_failed", "step", "", "words", "recsys run", ("2025-01-02",), "r0")
    tags = {"dagster/partition": "2025-01-02"}
    assert makes_up(fake("daily_pipeline", **tags), Trouble(*of, "__ASSET_JOB"))
    assert not makes_up(fake("__ASSET_JOB", **tags), Trouble(*of, "daily_pipeline"))


def test_a_landing_is_made_up_for_by_one_of_its_topic(root):
    from recsys_pipeline.observability.troubles import Trouble

    trouble = Trouble(
        "run_failed", "orders", "", "words", "recsys kafka land",
        job="kafka_landing", topic="orders",
    )  # fmt: skip
    assert makes_up(fake("kafka_landing", **{"recsys/kafka_topic": "orders"}), trouble)
    assert not makes_up(fake("kafka_landing", **{"recsys/kafka_topic": "items"}), trouble)
