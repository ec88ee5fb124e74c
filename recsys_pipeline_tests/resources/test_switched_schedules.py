from __future__ import annotations

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
)

from recsys_pipeline.resources.switched_schedules import switched_schedules


def state(name: str, status: InstigatorStatus, kind=InstigatorType.SCHEDULE) -> InstigatorState:
    location = RegisteredCodeLocationOrigin("recsys_pipeline")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    data = (
        ScheduleInstigatorData("0 0 * * *")
        if kind == InstigatorType.SCHEDULE
        else SensorInstigatorData()
    )
    return InstigatorState(origin, kind, status, data)


def test_only_schedules_that_were_switched_by_hand_are_told():
    with dg.instance_for_test() as instance:
        assert switched_schedules(instance) == {}
        instance.add_instigator_state(state("upkeep_schedule", InstigatorStatus.RUNNING))
        instance.add_instigator_state(state("daily_schedule", InstigatorStatus.STOPPED))
        instance.add_instigator_state(state("release_schedule", InstigatorStatus.DECLARED_IN_CODE))
        sensor = state("kafka_sensor", InstigatorStatus.RUNNING, InstigatorType.SENSOR)
        instance.add_instigator_state(sensor)
        assert switched_schedules(instance) == {"upkeep_schedule": True, "daily_schedule": False}
