"""The deployment's files, run as plain processes on a real PostgreSQL: work outlives kills."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import yaml

from recsys_pipeline_tests.conformance.conftest import s3_bucket  # noqa: F401
from recsys_pipeline_tests.deploy.processes import ROOT, Deployment, free_port, wait_until
from recsys_pipeline_tests.landed import event, land
from recsys_pipeline_tests.metadata.conftest import postgres  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = [TODAY - timedelta(days=n) for n in range(6, 0, -1)]
START_SENSOR = "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"
LOCATION = {
    "repositoryLocationName": "recsys_pipeline.definitions",
    "repositoryName": "__repository__",
}


@pytest.fixture
def deployment(postgres, s3_bucket, tmp_path):  # noqa: F811
    home = tmp_path / "home"
    home.mkdir()
    made = Deployment(
        home,
        SERVICES,
        {
            "DAGSTER_POSTGRES_URL": f"{postgres}/postgres",
            "DAGSTER_EVENT_BATCH_SIZE": "500",
            "DAGSTER_LOGS_BUCKET": s3_bucket.removeprefix("s3://"),
            "DAGSTER_LOGS_PREFIX": "dagster",
            "RECSYS_METADATA_URL": f"{postgres}/postgres",
            "RECSYS_STORAGE_ROOT": str(tmp_path / "root"),
            "RECSYS_START_DATE": DAYS[0].date().isoformat(),
            "RECSYS_RELEASE_CRON": "* * * * *",
            "RECSYS_LANDING_DEBOUNCE_SECONDS": "1",
        },
    )
    yield made
    made.kill()


@pytest.fixture
def instance(deployment, monkeypatch):
    import dagster as dg

    for name, value in deployment.env.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(deployment.home)) as made:
        yield made


def land_days(root, days, batch):
    rows = [
        event(user=f"u{n % 40}", item=f"i{n % 97}", kind="purchase", event_id=f"{day:%m%d}-{n}")
        | {"timestamp": day + timedelta(seconds=n), "received_at": TODAY, "date": day.date()}
        for day in days
        for n in range(2_000)
    ]
    land(root, rows, batch)


def sampled(root) -> set[str]:
    found = Path(root).glob("training_samples/date=*/tenant=acme/*.parquet")
    return {path.parts[-3].removeprefix("date=") for path in found}


def ids(days) -> list[str]:
    return [day.date().isoformat() for day in days]


def serves(port) -> bool:
    """Return whether a code server has loaded the definitions."""
    from dagster._grpc.client import DagsterGrpcClient

    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)):
            return False
    return DagsterGrpcClient(host="127.0.0.1", port=port).health_check_query() == "SERVING"


def process_of(instance, run_id) -> int | None:
    from dagster import DagsterEventType

    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        metadata = entry.dagster_event.engine_event_data.metadata
        if "pid" in metadata:
            return int(metadata["pid"].value)
    return None


def test_work_outlives_the_daemon_and_the_process_of_a_run(deployment, instance):
    from dagster import DagsterRunStatus, RunsFilter

    began = time.monotonic()
    said = []

    def passed(what):
        said.append(f"{what} {time.monotonic() - began:.0f} s")

    root = deployment.env["RECSYS_STORAGE_ROOT"]
    land_days(root, DAYS[:2], "first")
    code = deployment.start("code", deployment.code_port)
    wait_until("code", 60, lambda: serves(deployment.code_port), code.log)
    web = deployment.start("webserver", deployment.web_port)
    daemon = deployment.start("daemon")
    wait_until("webserver", 60, deployment.is_up, web.log)
    passed("up")

    sensor = LOCATION | {"sensorName": "landing_sensor"}
    started = deployment.ask(START_SENSOR, s=sensor)
    assert started["data"]["startSensor"]["__typename"] == "Sensor", started
    started = deployment.ask(
        "mutation($s: ScheduleSelector!) { startSchedule(scheduleSelector: $s) { __typename } }",
        s=LOCATION | {"scheduleName": "release_schedule"},
    )
    assert started["data"]["startSchedule"]["__typename"] == "ScheduleStateResult", started
    wait_until("the sensor's run", 60, lambda: set(ids(DAYS[:2])) <= sampled(root), daemon.log)
    passed("sensor's days sampled")
    state = next(s for s in instance.all_instigator_state() if s.name == "landing_sensor")
    instance.stop_sensor(state.instigator_origin_id, state.selector_id, None)

    land_days(root, DAYS[2:], "second")
    launched = deployment.ask(
        "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p)"
        " { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }",
        p={
            "selector": {
                "partitionSetName": "daily_pipeline_partition_set",
                "repositorySelector": LOCATION,
            },
            "partitionNames": ids(DAYS[2:]),
        },
    )
    backfill = launched["data"]["launchPartitionBackfill"].get("backfillId")
    assert backfill, launched

    def killed() -> str | None:
        under_way = RunsFilter(
            statuses=[DagsterRunStatus.STARTED], tags={"dagster/backfill": backfill}
        )
        for run in instance.get_runs(under_way):
            process = process_of(instance, run.run_id)
            if process is None:
                continue
            daemon.kill()
            os.kill(process, signal.SIGKILL)
            if instance.get_run_by_id(run.run_id).status == DagsterRunStatus.STARTED:
                return run.run_id
            daemon.start()
        return None

    victim = wait_until("a run of the backfill", 90, killed, daemon.log)
    passed("killed")
    daemon.start()
    port = free_port()
    viewer = deployment.start("viewer", port)

    def retried():
        runs = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.SUCCESS]))
        return next((run for run in runs if run.parent_run_id == victim), None)

    wait_until("viewer", 60, lambda: deployment.is_up(port), viewer.log)
    refused = deployment.ask(START_SENSOR, port, s=sensor)
    assert refused["data"]["startSensor"]["__typename"] == "UnauthorizedError", refused
    retry = wait_until("the retry", 90, retried, daemon.log)
    passed("made again")
    assert instance.get_run_by_id(victim).status == DagsterRunStatus.FAILURE
    assert retry.tags["dagster/retry_number"] == "1"
    wait_until("all days", 60, lambda: set(ids(DAYS)) <= sampled(root), daemon.log)
    passed("backfill over")

    def ticked():
        state = next(s for s in instance.all_instigator_state() if s.name == "release_schedule")
        return instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)

    assert wait_until("the schedule's tick", 70, ticked, daemon.log)
    passed("schedule ticked")
    assert set(instance.get_daemon_heartbeats()) >= {
        "SENSOR", "SCHEDULER", "BACKFILL", "QUEUED_RUN_COORDINATOR",
        "MONITORING", "EVENT_LOG_CONSUMER", "FRESHNESS_DAEMON",
    }  # fmt: skip
    logs = boto3.client("s3").list_objects_v2(
        Bucket=deployment.env["DAGSTER_LOGS_BUCKET"],
        Prefix=f"dagster/storage/{retry.run_id}/compute_logs/",
    )
    assert {Path(one["Key"]).suffix for one in logs["Contents"]} == {".out", ".err"}
    sys.stdout.write(", ".join(said) + "\n")
