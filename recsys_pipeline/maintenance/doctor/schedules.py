"""Schedules that have work to do and do not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.errors import RecsysError
from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.tenants import overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recsys_pipeline.settings import Settings

UPKEEP = "upkeep_schedule"


def check_schedules(
    settings: Settings, switched: Callable[[], Mapping[str, bool]] | None
) -> Finding:
    """See that the schedule of the night runs where retention is set.

    Args:
        settings: What is to be deleted, and whether schedules run by themselves.
        switched: Returns the schedules that were started (true) or stopped by hand; None where nobody
            can tell.
    """
    name = "schedules"
    try:
        kept = [t for t, table in sorted(overrides(settings).items()) if table.retention]
    except (RecsysError, OSError):
        kept = []  # the line `tenants` tells
    asked = ["RECSYS_RETENTION"] if settings.retention else []
    asked += ["RECSYS_RETENTION_RUN_DAYS"] if settings.retention_run_days is not None else []
    asked += [f"retention of {', '.join(kept)}"] if kept else []
    if not asked:
        return Finding(name, "ok", "no retention is set")
    try:
        by_hand = switched().get(UPKEEP) if switched is not None else None
    except Exception as error:  # noqa: BLE001  # an instance that can't be read is a finding
        return Finding(name, "warning", f"can't be read ({error})", "See the line `DAGSTER_HOME`")
    if settings.schedules_running if by_hand is None else by_hand:
        return Finding(name, "ok", f"{UPKEEP} runs")
    return Finding(
        name,
        "warning",
        f"{' and '.join(asked)} is set and {UPKEEP} is stopped: nothing is deleted",
        "Start it in the UI, set RECSYS_SCHEDULES_RUNNING=true, or run: recsys retention --apply",
    )
