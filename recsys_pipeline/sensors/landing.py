"""New landed content to runs for the days that it touched, whoever landed it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.errors import LandingError
from recsys_pipeline.jobs import daily_pipeline
from recsys_pipeline.partitions import BRIDGE_DAYS, RANGE_END, RANGE_START, contiguous
from recsys_pipeline.resources.pipeline import open_store_of_settings, open_view
from recsys_pipeline.sensors.attempts import ATTEMPT_TAG, failures, run_under_way
from recsys_pipeline.sensors.default_status import DEFAULT_STATUS
from recsys_pipeline.settings import get_settings
from recsys_pipeline.storage.horizons import read_horizons
from recsys_pipeline.storage.landing import TABLES, Landing

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

LANDING_TAG = "recsys/landing"
INTERVAL_SECONDS = 10


@dataclass(frozen=True)
class Seen:
    """The sensor's cursor: what has been asked for.

    Attributes:
        versions: By table, the version up to which touched days have been requested.
        at: ISO 8601 UTC time of the last request.
        asked: The ranges last requested, as (first day, last day): they are requested again when
            their runs have failed.
    """

    versions: dict[str, int]
    at: str = "1970-01-01T00:00:00+00:00"
    asked: list[list[str]] = field(default_factory=list)


@dg.sensor(
    job=daily_pipeline,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DEFAULT_STATUS,
    description=(
        "Runs the days that newly landed rows touch, late days included, as few ranges: one "
        "request at a time, so that a steady stream makes few runs. Compaction triggers nothing."
    ),
)
def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request a run for each contiguous range of touched days."""
    settings = get_settings()
    seen = Seen(**json.loads(context.cursor)) if context.cursor else None
    if running := run_under_way(context.instance, daily_pipeline.name, {LANDING_TAG: "sensor"}):
        # what lands meanwhile is asked for together, once it is over
        return dg.SkipReason(f"run {running} is making the days last asked for")
    due = datetime.now(UTC) - timedelta(seconds=settings.landing_debounce_seconds)
    if seen and datetime.fromisoformat(seen.at) > due:
        return dg.SkipReason("The last request is too recent")
    versions = {str(k): Landing(settings.storage_root, k).snapshot().version for k in TABLES}
    days = _touched(settings, seen, versions)
    again, waiting = _failed(context, seen)
    today = datetime.now(UTC).date()
    wanted = sorted(d for d in days | set(again) if settings.start_date <= d <= today)
    if not wanted:
        kept = Seen(versions, seen.at if seen else Seen.at, list(waiting.values()))
        said = "; ".join(waiting) or "Nothing has landed since the last request"
        return dg.SensorResult(skip_reason=said, cursor=json.dumps(asdict(kept)))
    stamp = "-".join(str(version) for version in versions.values())
    requests = []
    for first, last in contiguous(wanted, BRIDGE_DAYS):
        attempt = max((again.get(d, 0) for d in wanted if first <= d <= last), default=0) + 1
        tags = {
            RANGE_START: first.isoformat(),
            RANGE_END: last.isoformat(),
            LANDING_TAG: "sensor",
            ATTEMPT_TAG: str(attempt),
        }
        key = f"landing:{stamp}:{first}:{last}:{attempt}"
        requests.append(dg.RunRequest(run_key=key, tags=tags))
    asked = [[r.tags[RANGE_START], r.tags[RANGE_END]] for r in requests]
    cursor = Seen(versions, datetime.now(UTC).isoformat(), [*asked, *waiting.values()])
    return dg.SensorResult(run_requests=requests, cursor=json.dumps(asdict(cursor)))


def _touched(settings: Settings, seen: Seen | None, versions: dict[str, int]) -> set[date]:
    """Return the days whose rows have changed since the last request."""
    if seen is not None and seen.versions == versions:
        return set()
    if seen is None or settings.late_days == "at_once":
        return set(pending_days(open_view()))
    kept = read_horizons(open_store_of_settings())
    try:
        return {
            day
            for kind, table in TABLES.items()
            if versions[kind] > (since := seen.versions.get(kind, -1))
            for day, tenant in Landing(settings.storage_root, kind).changes(since)
            if kept.keeps(table, day, tenant)
        }
    except LandingError:
        # the log no longer goes back that far: content is compared instead
        return set(pending_days(open_view()))


def _failed(
    context: dg.SensorEvaluationContext, seen: Seen | None
) -> tuple[dict[date, int], dict[str, list[str]]]:
    """Look at the runs last asked for.

    Returns:
        The days of those that failed and are due again, with the number of failures; and the
        ranges that are not due yet, each under a sentence about it.
    """
    again: dict[date, int] = {}
    waiting: dict[str, list[str]] = {}
    for first, last in seen.asked if seen else []:
        tags = {RANGE_START: first, RANGE_END: last, LANDING_TAG: "sensor"}
        failed = failures(context.instance, f"{first} to {last}", tags)
        if not failed.count:
            continue
        failed.log(context)
        if failed.wait > timedelta():
            waiting[failed.words] = [first, last]
            continue
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
        again |= {begin + timedelta(n): failed.count for n in range((end - begin).days + 1)}
    return again, waiting
