"""Deletion of old runs from Dagster's records, of which the UI loses nothing that it still shows.

A partition's status and metadata are those of its latest materialisation, which lives in the events of the
run that made it. So a run goes only when each of its materialisations has a later one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Iterator

# runs deleted per call: each takes some ten milliseconds and holds the database
MOST = 1_000
PAGE = 1_000
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_MATERIALISED = dg.DagsterEventType.ASSET_MATERIALIZATION


def prune_runs(instance: dg.DagsterInstance, days: int) -> int:
    """Delete superseded runs that ended more than some days ago; return how many."""
    before = datetime.now(UTC) - timedelta(days=days)
    latest: dict[tuple[dg.AssetKey, str], str] = {}
    # the page after a run is found by that run, so none is deleted before all have been looked at
    every = (
        record.dagster_run.run_id
        for record in _ended(instance, before)
        if (record.end_time or 0) < before.timestamp()
        and _is_superseded(instance, record.dagster_run.run_id, latest)
    )
    superseded = list(islice(every, MOST))
    for run_id in superseded:
        instance.delete_run(run_id)
    return len(superseded)


def _ended(instance: dg.DagsterInstance, before: datetime) -> Iterator[dg.RunRecord]:
    """Yield the runs that were made before a time and have ended, the oldest first."""
    wanted = dg.RunsFilter(statuses=_ENDED, created_before=before)
    cursor: str | None = None
    while page := instance.get_run_records(wanted, limit=PAGE, cursor=cursor, ascending=True):
        yield from page
        cursor = page[-1].dagster_run.run_id


def _is_superseded(
    instance: dg.DagsterInstance, run_id: str, latest: dict[tuple[dg.AssetKey, str], str]
) -> bool:
    """Say whether each partition that a run made was made again since; `latest` is kept between calls."""
    made = instance.get_records_for_run(run_id, of_type=_MATERIALISED).records
    for event in (record.event_log_entry.get_dagster_event() for record in made):
        key, partition = event.asset_key, event.partition
        if key is None or partition is None:
            return False  # a release, or what else has no partitions
        if (key, partition) not in latest:
            wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition])
            found = instance.fetch_materializations(wanted, limit=1).records
            latest[key, partition] = found[0].run_id if found else ""
        if latest[key, partition] == run_id:
            return False
    return True
