"""Schedules as they were started and stopped in the UI."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg


def switched_schedules(instance: dg.DagsterInstance) -> dict[str, bool]:
    """Return the schedules that somebody has started (true) or stopped; others are as the code says."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import InstigatorStatus

    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return {
        state.instigator_name: state.status == InstigatorStatus.RUNNING
        for state in states
        if state.status != InstigatorStatus.DECLARED_IN_CODE
    }
