"""Runs of the daily pipeline in this process, recorded in the Dagster instance.

Only days that have something stale or missing are run, as few contiguous ranges: Dagster itself
costs about 20 ms per partition and asset, whatever the work.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys_pipeline.errors import RecsysError, SettingsError

if TYPE_CHECKING:
    from datetime import date

    import dagster as dg

POLL_SECONDS = 0.5

# called with a step's name and the number of steps that have ended
Report = Callable[[str, int], None]


class RunFailedError(RecsysError):
    """A Dagster run of the pipeline failed."""

    quotes_others = True


@dataclass(frozen=True)
class FinishedRun:
    """One Dagster run.

    Attributes:
        run_id: Dagster's id; the UI shows it under Runs.
        first: First day of its range.
        last: Last day of its range.
        seconds: Duration by step.
        failed_checks: (asset, check, what it says) of every check that did not pass.
    """

    run_id: str
    first: date
    last: date
    seconds: dict[str, float]
    failed_checks: list[tuple[str, str, str]]


class _Watcher(threading.Thread):
    """Reports each step of a run as it ends, for a progress bar."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str, report: Report) -> None:
        super().__init__(daemon=True)
        self._instance = instance
        self._run_id = run_id
        self._report = report
        self._over = threading.Event()

    def run(self) -> None:
        import dagster as dg

        while not self._over.wait(POLL_SECONDS):
            ended = self._instance.all_logs(
                self._run_id, of_type={dg.DagsterEventType.STEP_SUCCESS}
            )
            if ended and (event := ended[-1].dagster_event) and event.step_key:
                self._report(event.step_key, len(ended))

    def stop(self) -> None:
        self._over.set()
        self.join()


def dagster_instance() -> dg.DagsterInstance:
    """Return the instance that the UI shows.

    Raises:
        SettingsError: `DAGSTER_HOME` is not set, so nothing would be recorded.
    """
    import dagster as dg
    from dagster._core.errors import DagsterHomeNotSetError

    try:
        return dg.DagsterInstance.get()
    except DagsterHomeNotSetError:
        raise SettingsError(
            "DAGSTER_HOME",
            "is not set, so the run would not show in the UI",
            "Run `source dev.env`",
        ) from None


def days_to_run(first: date, last: date, tenants: Sequence[str], *, force: bool) -> list[date]:
    """Return the days of a window that need a run; with `force`, all that have landed rows."""
    from recsys_pipeline.engines.pending import pending_days
    from recsys_pipeline.engines.workspace import LEFTOVER_AGE
    from recsys_pipeline.resources.pipeline import open_view

    view = open_view(None, list(tenants))
    view.store.objects.sweep(LEFTOVER_AGE)
    days = set(pending_days(view))
    if force:
        days |= {*view.landed_days("interactions"), *view.landed_days("items")}
    return sorted(day for day in days if first <= day <= last)


def step_count() -> int:
    """Return the number of steps of one run."""
    from recsys_pipeline.definitions import defs

    return len(defs.resolve_job_def("daily_pipeline").graph.nodes)


def run_range(
    instance: dg.DagsterInstance,
    first: date,
    last: date,
    tenants: Sequence[str] = (),
    *,
    force: bool = False,
    report: Report | None = None,
) -> FinishedRun:
    """Run the pipeline for a range of days, in this process.

    Raises:
        RunFailedError: A step failed; what was published before stays.
    """
    from recsys_pipeline.definitions import defs
    from recsys_pipeline.partitions import RANGE_END, RANGE_START

    job = defs.resolve_job_def("daily_pipeline")
    config = {
        "resources": {"pipeline": {"config": {"tenants": list(tenants), "force": force}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    tags = {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}
    if tenants:
        tags["recsys/tenants"] = ",".join(sorted(tenants))
    run_id = str(uuid.uuid4())
    watcher = _Watcher(instance, run_id, report) if report else None
    if watcher:
        watcher.start()
    try:
        result = job.execute_in_process(
            instance=instance, tags=tags, run_config=config, run_id=run_id, raise_on_error=False
        )
    finally:
        if watcher:
            watcher.stop()
    if not result.success:
        failure = next(e for e in result.all_events if e.is_step_failure)
        error = failure.step_failure_data.error
        cause = error.cause or error if error else None
        raise RunFailedError(
            f"run {result.run_id}, step {failure.step_key}",
            (cause.message if cause else "failed").strip().rstrip("."),
            "The UI shows the whole log",
        )
    starts: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for entry in instance.all_logs(result.run_id):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.is_step_start:
            starts[event.step_key] = entry.timestamp
        elif event.is_step_success:
            seconds[event.step_key] = entry.timestamp - starts[event.step_key]
    failed = [
        (e.asset_key.to_user_string(), e.check_name, e.description or "")
        for e in result.get_asset_check_evaluations()
        if not e.passed
    ]
    return FinishedRun(result.run_id, first, last, seconds, failed)
