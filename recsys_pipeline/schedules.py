"""The daily schedule: the last complete UTC day, and every earlier day that has gone stale."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.jobs import daily_pipeline
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.partitions import BRIDGE_DAYS, RANGE_END, RANGE_START, contiguous
from recsys_pipeline.settings import get_settings

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
