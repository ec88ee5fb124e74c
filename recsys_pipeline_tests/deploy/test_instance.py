"""The deployment's files, run as plain processes on a real PostgreSQL: work outlives kills."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import yaml

from recsys_pipeline_tests.conformance.conftest import s3_bucket  # noqa: F401
from recsys_pipeline_tests.deploy.processes import (
    CODE_HOST,
    ROOT,
    Deployment,
    Process,
    free_port,
    wait_until,
)
from recsys_pipeline_tests.landed import event, land
from recsys_pipeline_tests.metadata.conftest import postgres  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# seconds; the machine may be busy
PATIENCE = 240
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = [TODAY - timedelta(days=n) for n in range(6, 0, -1)]
LOCATION = {
    "repositoryLocationName": "recsys_pipeline.definitions",
    "repositoryName": "__repository__",
}
PARTITIONS = {
    "partitionSetName": "daily_pipeline_partition_set",
    "repositorySelector": LOCATION,
}
START_SENSOR = "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"
START_SCHEDULE = (
    "mutation($s: ScheduleSelector!) { startSchedule(scheduleSelector: $s) { __typename } }"
)
BACKFILL = (
    "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p)"
    " { __typename ... on LaunchBackfillSuccess { backfillId } } }"
)
DAEMONS = {
    "SENSOR", "SCHEDULER", "BACKFILL", "QUEUED_RUN_COORDINATOR",
    "MONITORING", "EVENT_LOG_CONSUMER", "FRESHNESS_DAEMON",
}  # fmt: skip


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
        if probe.connect_ex((CODE_HOST, port)):
            return False
    return DagsterGrpcClient(host=CODE_HOST, port=port).health_check_query() == "SERVING"


@dataclass
class Parts:
    """The processes under way."""

    code: Process
    daemon: Process
    web: Process

    def kill_behind(self) -> None:
        self.daemon.kill()
        self.code.kill()

    def start_behind(self, deployment) -> None:
        self.code.start()
        wait_until("code", PATIENCE, lambda: serves(deployment.code_port), self.code.log)
        self.daemon.start()


def start(deployment) -> Parts:
    code = deployment.start("code", deployment.code_port, CODE_HOST)
    wait_until("code", PATIENCE, lambda: serves(deployment.code_port), code.log)
    web = deployment.start("webserver", deployment.web_port)
    daemon = deployment.start("daemon")
    wait_until("webserver", PATIENCE, deployment.is_up, web.log)
    return Parts(code, daemon, web)


def ask(deployment, query, field, wanted, port=None, **variables) -> dict:
    """Return a field of the answer, which must be of a type."""
    answer = deployment.ask(query, port, **variables)
    assert answer["data"][field]["__typename"] == wanted, answer
    return answer["data"][field]


def under_way(instance, backfill, parts, deployment) -> str | None:
    """Kill the daemon and the code location in the middle of a run; return the run."""
    from dagster import DagsterRunStatus, RunsFilter

    tags = {"dagster/backfill": backfill}
    started = RunsFilter(statuses=[DagsterRunStatus.STARTED], tags=tags)
    if not instance.get_runs(started):
        return None
    parts.kill_behind()
    # one that had ended before the kill doesn't count
    left = instance.get_runs(started)
    if left:
        return left[0].run_id
    parts.start_behind(deployment)
    return None


def made_again(instance, run_id):
    from dagster import DagsterRunStatus, RunsFilter

    runs = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.SUCCESS]))
    return next((run for run in runs if run.parent_run_id == run_id), None)


def ticks(instance, name) -> list:
    state = next(s for s in instance.all_instigator_state() if s.name == name)
    return instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)


def test_work_outlives_the_daemon_and_the_processes_of_runs(deployment, instance):
    from dagster import DagsterEventType, DagsterRunStatus

    times = [("start", time.monotonic())]
    root = deployment.env["RECSYS_STORAGE_ROOT"]
    land_days(root, DAYS[:2], "first")
    parts = start(deployment)
    times.append(("up", time.monotonic()))

    sensor = LOCATION | {"sensorName": "landing_sensor"}
    ask(deployment, START_SENSOR, "startSensor", "Sensor", s=sensor)
    schedule = LOCATION | {"scheduleName": "release_schedule"}
    ask(deployment, START_SCHEDULE, "startSchedule", "ScheduleStateResult", s=schedule)
    wait_until("the sensor", PATIENCE, instance.get_runs_count, parts.daemon.log)
    times.append(("asked for by the sensor", time.monotonic()))
    # what lands now is the backfill's alone
    state = next(s for s in instance.all_instigator_state() if s.name == "landing_sensor")
    instance.stop_sensor(state.instigator_origin_id, state.selector_id, None)

    land_days(root, DAYS[2:], "second")
    backfill = ask(
        deployment,
        BACKFILL,
        "launchPartitionBackfill",
        "LaunchBackfillSuccess",
        p={"selector": PARTITIONS, "partitionNames": ids(DAYS[2:])},
    )["backfillId"]
    # while the backfill waits for its turn
    port = free_port()
    viewer = deployment.start("viewer", port)
    victim = wait_until(
        "a run of the backfill",
        PATIENCE,
        lambda: under_way(instance, backfill, parts, deployment),
        parts.daemon.log,
    )
    times.append(("killed", time.monotonic()))
    parts.start_behind(deployment)

    wait_until("viewer", PATIENCE, lambda: deployment.is_up(port), viewer.log)
    ask(deployment, START_SENSOR, "startSensor", "UnauthorizedError", port, s=sensor)

    retry = wait_until(
        "the retry", PATIENCE, lambda: made_again(instance, victim), parts.daemon.log
    )
    times.append(("made again", time.monotonic()))
    assert instance.get_run_by_id(victim).status == DagsterRunStatus.FAILURE
    failed = instance.all_logs(victim, of_type=DagsterEventType.RUN_FAILURE)
    assert "no longer runs it" in failed[0].message
    assert retry.tags["dagster/retry_number"] == "1"
    wait_until("all days", PATIENCE, lambda: set(ids(DAYS)) <= sampled(root), parts.daemon.log)
    assert wait_until(
        "a tick", PATIENCE, lambda: ticks(instance, "release_schedule"), parts.daemon.log
    )
    times.append(("all days and a tick of the schedule", time.monotonic()))

    assert set(instance.get_daemon_heartbeats()) >= DAEMONS
    logs = boto3.client("s3").list_objects_v2(
        Bucket=deployment.env["DAGSTER_LOGS_BUCKET"],
        Prefix=f"dagster/storage/{retry.run_id}/compute_logs/",
    )
    assert {Path(one["Key"]).suffix for one in logs["Contents"]} == {".out", ".err"}
    began = times[0][1]
    sys.stdout.write(", ".join(f"{what} {at - began:.0f} s" for what, at in times[1:]) + "\n")
