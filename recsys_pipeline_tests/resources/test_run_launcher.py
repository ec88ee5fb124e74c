"""A run whose process was killed is told from one that goes on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG

from recsys_pipeline.resources.run_launcher import WatchedRunLauncher


@dg.op
def nothing() -> None: ...


@dg.job
def job() -> None:
    nothing()


@pytest.fixture
def launcher():
    with dg.DagsterInstance.ephemeral() as instance:
        made = WatchedRunLauncher()
        made.register_instance(instance)
        made.instance = instance
        yield made


def health(launcher, pid=None, tags=None):
    run = launcher.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags=tags or {}
    )
    if pid is not None:
        launcher.instance.report_engine_event(
            f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid)
        )
    return launcher.check_run_worker_health(run).status


def test_dagsters_own_launcher_can_not_tell():
    """When it can, ours can go."""
    assert not DefaultRunLauncher().supports_check_run_worker_health
    assert WatchedRunLauncher().supports_check_run_worker_health


def test_a_process_that_is_there(launcher):
    assert health(launcher, os.getpid()) == WorkerStatus.RUNNING


def test_a_run_of_which_nothing_is_known(launcher):
    assert health(launcher) == WorkerStatus.RUNNING


def test_a_process_that_was_killed(launcher):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process.kill()
    time.sleep(0.2)
    assert health(launcher, process.pid) == WorkerStatus.FAILED  # not yet reaped
    process.wait()
    assert health(launcher, process.pid) == WorkerStatus.FAILED


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_that_was_given_the_number_later(launcher, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert health(launcher, process.pid) == WorkerStatus.RUNNING
        monkeypatch.setattr("recsys_pipeline.resources.run_launcher.SLACK_SECONDS", -3600.0)
        assert health(launcher, process.pid) == WorkerStatus.FAILED
    finally:
        process.kill()
        process.wait()


def test_another_hosts_server_is_asked(launcher, monkeypatch):
    tags = {GRPC_INFO_TAG: '{"host": "code", "port": 4000}'}
    answers = []

    class Client:
        def can_cancel_execution(self, request, timeout):
            from dagster._grpc.types import CanCancelExecutionResult
            from dagster._serdes import serialize_value

            answer = answers.pop()
            if isinstance(answer, Exception):
                raise answer
            return serialize_value(CanCancelExecutionResult(can_cancel=answer))

    monkeypatch.setattr(
        DefaultRunLauncher, "_get_grpc_client_for_termination", lambda self, run_id: Client()
    )
    for answer, status in (
        (True, WorkerStatus.RUNNING),
        (False, WorkerStatus.FAILED),
        (DagsterUserCodeUnreachableError("down"), WorkerStatus.RUNNING),
    ):
        answers.append(answer)
        assert health(launcher, tags=tags) == status
