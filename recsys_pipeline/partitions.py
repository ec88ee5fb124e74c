"""Daily partitions in UTC, from the start date to today."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

import recsys_pipeline.upstream_warnings  # noqa: F401  # importing it is what it is for
from recsys_pipeline.settings import get_settings

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
# measured: a run costs 4 s, a day of a range with nothing to do 0.04 s
BRIDGE_DAYS = 60

# today's partition exists, so that events are seen on the day they arrive
daily = dg.DailyPartitionsDefinition(
    start_date=get_settings().start_date.isoformat(), timezone="UTC", end_offset=1
)


def days_of(keys: list[str]) -> list[date]:
    """Return partition keys as dates, in order."""
    return sorted(date.fromisoformat(key) for key in keys)


def contiguous(days: list[date], bridge: int = 0) -> list[tuple[date, date]]:
    """Group sorted days into ranges, joining those at most `bridge` empty days apart."""
    ranges: list[tuple[date, date]] = []
    for day in days:
        if ranges and day - ranges[-1][1] <= timedelta(days=bridge + 1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges
