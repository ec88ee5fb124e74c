"""Dagster's default launcher of runs, which also notices when the process of a run was killed.

Dagster's own can't tell, so that such a run would be `Started` for ever, and everything that waits
for it would wait for ever. Run monitoring asks this class, and marks the run as failed.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterEventType
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

if TYPE_CHECKING:
    from dagster import DagsterRun

LOCAL = {"localhost", "127.0.0.1"}
ANSWER_SECONDS = 10
# of the clocks of a process's start and of an event's
SLACK_SECONDS = 2.0


class WatchedRunLauncher(DefaultRunLauncher):
    """Launches runs in the code server's processes, and tells whether one is still there."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Return True: run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return FAILED for a run whose process is gone; what can't be known counts as RUNNING.

        A run that a code server of another host has launched is asked of that server; any other
        one has its process on this host.
        """
        server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if server.get("host", "localhost") not in LOCAL:
            return self._ask_server(run)
        started = self._process(run)
        if started is None or _is_alive(*started):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"process {started[0]} is gone")

    def _process(self, run: DagsterRun) -> tuple[int, float] | None:
        """Return the id of the run's process and when it said that it had started."""
        entries = self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        for entry in reversed(entries):
            event = entry.dagster_event
            metadata = event.engine_event_data.metadata if event else {}
            if "pid" in metadata:
                return int(str(metadata["pid"].value)), entry.timestamp
        return None

    def _ask_server(self, run: DagsterRun) -> CheckRunHealthResult:
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]  # Dagster's own
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        request = CanCancelExecutionRequest(run_id=run.run_id)
        try:
            answer = client.can_cancel_execution(request, timeout=ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its code server does not answer")
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its code server no longer runs it")


def _is_alive(pid: int, seen_at: float) -> bool:
    """Return whether a process is there that was there at a time, seconds since 1970."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's: it is there
    try:
        # the 22nd field is the start in clock ticks since boot; the 2nd may hold spaces
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text("utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return True
    if fields[0] == "Z":
        return False
    age = uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age <= seen_at + SLACK_SECONDS  # a later one has been given its number
