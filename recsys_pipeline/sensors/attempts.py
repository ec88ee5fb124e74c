"""What the sensors ask of earlier runs: is one under way, and how often has it failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterRunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_FLIGHT = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
FAILED = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]

ATTEMPT_TAG = "recsys/attempt"
ALERT_ATTEMPTS = 3
FIRST_DELAY = timedelta(seconds=15)
LONGEST_DELAY = timedelta(minutes=2)


@dataclass(frozen=True)
class Failures:
    """Failed runs of the same request.

    Attributes:
        count: How many there are.
        words: One sentence about them; empty where there is none.
        wait: Time until the next attempt; zero or less when it is due.
    """

    count: int
    words: str
    wait: timedelta

    def log(self, context: dg.SensorEvaluationContext) -> None:
        """Raise the alarm once the same thing has failed several times."""
        if self.count >= ALERT_ATTEMPTS:
            context.log.error(self.words)


def run_under_way(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> str | None:
    """Return the short id of a run that is queued or running, or None."""
    wanted = dg.RunsFilter(job_name=job, tags=dict(tags), statuses=IN_FLIGHT)
    records = instance.get_run_records(wanted, limit=1)
    return records[0].dagster_run.run_id[:8] if records else None


def failures(instance: dg.DagsterInstance, what: str, tags: Mapping[str, str]) -> Failures:
    """Count the failed runs of a request since its last success, and say when it is due again.

    Args:
        instance: Where runs are recorded.
        what: What the request is for, for the sentence.
        tags: What all its runs have in common.
    """
    ended = dg.RunsFilter(tags=dict(tags), statuses=[*FAILED, DagsterRunStatus.SUCCESS])
    latest = instance.get_run_records(ended, limit=100)
    records = list(takewhile(lambda record: record.dagster_run.status in FAILED, latest))
    if not records:
        return Failures(0, "", timedelta())
    delay = min(FIRST_DELAY * 2 ** (len(records) - 1), LONGEST_DELAY)
    wait = delay - (datetime.now(UTC) - records[0].update_timestamp)
    last = records[0].dagster_run.run_id[:8]
    words = f"{what} has failed {len(records)} times, last in run {last}"
    if wait > timedelta():
        words += f"; tried again in {wait.total_seconds():.0f} s"
    return Failures(len(records), words, wait)
