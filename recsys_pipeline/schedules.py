"""The schedules: the last complete UTC day and earlier days gone stale; and releases."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.engines.steps import SAMPLES
from recsys_pipeline.jobs import daily_pipeline, release_job
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.partitions import BRIDGE_DAYS, RANGE_END, RANGE_START, contiguous
from recsys_pipeline.settings import get_settings
from recsys_pipeline.upkeep_job import upkeep_job

_settings = get_settings()


@dg.schedule(
    job=daily_pipeline,
    cron_schedule=f"0 {_settings.daily_hour} * * *",
    execution_timezone="UTC",
    default_status=(
        dg.DefaultScheduleStatus.RUNNING
        if _settings.schedules_running or is_configured(_settings)
        else dg.DefaultScheduleStatus.STOPPED
    ),
    description=(
        "Runs the last complete UTC day for all tenants, together with earlier days whose inputs "
        "have changed, as few contiguous ranges."
    ),
)
def daily_schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Request one run for each contiguous range of days that need one."""
    from recsys_pipeline.resources.pipeline import open_view

    yesterday = context.scheduled_execution_time.date() - timedelta(days=1)
    if yesterday < _settings.start_date:
        return
    days = {day for day in pending_days(open_view()) if day < yesterday} | {yesterday}
    for first, last in contiguous(sorted(days), BRIDGE_DAYS):
        yield dg.RunRequest(
            run_key=f"{yesterday}:{first}:{last}",
            tags={RANGE_START: first.isoformat(), RANGE_END: last.isoformat()},
        )


@dg.schedule(
    job=upkeep_job,
    cron_schedule=f"30 {(_settings.daily_hour + 1) % 24} * * *",
    execution_timezone="UTC",
    default_status=(
        dg.DefaultScheduleStatus.RUNNING
        if _settings.schedules_running
        else dg.DefaultScheduleStatus.STOPPED
    ),
    description="Settles erasures, deletes what is old, compacts and vacuums the landing tables.",
)
def upkeep_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Request one run a day."""
    return dg.RunRequest(run_key=context.scheduled_execution_time.date().isoformat())


@dg.schedule(
    job=release_job,
    cron_schedule=_settings.release_cron,
    execution_timezone="UTC",
    description=(
        "Makes a release of each tenant with training samples, of the last RECSYS_RELEASE_DAYS complete "
        "days. A release whose checks fail, or that has a stale or missing day, is not published: its "
        "run fails and says why."
    ),
)
def release_schedule(
    context: dg.ScheduleEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request one run for each tenant."""
    from recsys_pipeline.resources.pipeline import open_view

    last = context.scheduled_execution_time.date() - timedelta(days=1)
    first = max(last - timedelta(days=_settings.release_days - 1), _settings.start_date)
    tenants = sorted(
        {tenant for day, tenant in open_view().partitions(SAMPLES) if first <= day <= last}
    )
    if _settings.release_tenants is not None:
        tenants = [tenant for tenant in tenants if tenant in _settings.release_tenants]
    if not tenants:
        yield dg.SkipReason(f"No tenant of a release has training samples from {first} to {last}")
    for tenant in tenants:
        config = {
            "tenant": tenant,
            "from": first.isoformat(),
            "to": last.isoformat(),
            "validation_days": _settings.release_validation_days,
            "test_days": _settings.release_test_days,
        }
        yield dg.RunRequest(
            run_key=f"{tenant}:{last}",
            run_config={"ops": {"training_dataset": {"config": config}}},
            tags={"tenant": tenant},
        )
