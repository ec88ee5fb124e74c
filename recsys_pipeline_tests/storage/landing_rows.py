"""Landed rows for tests of the landing zone, and a process that lands them and may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import polars as pl

from recsys_pipeline.ingestion import batches
from recsys_pipeline.schemas.landing import LandedInteraction, LandedItem
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.storage import landing as landing_module
from recsys_pipeline.storage.landing import Landing

DAY = date(2025, 1, 1)
RECEIVED = datetime(2025, 2, 1, 12, tzinfo=UTC)
MODELS = {"interactions": LandedInteraction, "items": LandedItem}


def rows(
    batch, positions, *, tenant="acme", days=3, kind="interactions", **columns
) -> pl.DataFrame:
    """One row per position; the day is the position modulo `days`."""
    made = [
        {
            "received_at": RECEIVED,
            "batch_id": batch,
            "position": position,
            "source": "file:events.csv",
            "parked": False,
            "date": DAY + timedelta(days=position % days),
            "tenant": tenant,
            "user_id": f"user-{position}",
            "item_id": f"item-{position % 5}",
            "interaction_type": "view",
            "title": "A title",
        }
        | columns
        for position in positions
    ]
    schema = frame_schema(MODELS[kind])
    return pl.DataFrame(
        [{name: row.get(name) for name in schema} for row in made],
        schema=dict(schema),
        orient="row",
    )


def landed(landing: Landing) -> list[tuple[str, int]]:
    """Every landed (batch, position), in order."""
    frame = landing.snapshot().scan().select("batch_id", "position").collect()
    return sorted(frame.rows())


def lander(*arguments: str) -> subprocess.Popen:
    """Start `main` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "recsys_pipeline_tests.storage.landing_rows", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(root: str, key: str, point: str, replaces: str = "") -> None:
    """Land 40 rows under a key as `ingest` does, writing `ready` and waiting for a line first.

    Args:
        root: Storage root.
        key: Idempotency key.
        point: Where the process kills itself: `reading`, `staged`, `committed`, or `never`.
        replaces: Batch to replace.
    """
    landing_module.BUFFER_BYTES = 1
    commit = Landing._commit

    def dying_commit(self, *arguments):
        if point == "staged":
            die()
        done = commit(self, *arguments)
        if point == "committed":
            die()
        return done

    Landing._commit = dying_commit
    landing = Landing(root, "interactions")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    plan = batches.plan_batch(
        landing,
        tenant="acme",
        source="file:events.csv",
        key=key,
        mapping=None,
        received_at=RECEIVED,
        idempotency_days=30,
        replaces=replaces or None,
    )
    if isinstance(plan, batches.AlreadyLanded):
        sys.stdout.write("already\n")
        return

    def frames():
        for start in range(0, 40, 10):
            yield rows(plan.batch_id, range(start, start + 10))
            if point == "reading" and start == 20:
                die()

    done = batches.land_batch(landing, plan, frames(), start_date=DAY)
    sys.stdout.write("already\n" if isinstance(done, batches.AlreadyLanded) else "landed\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
