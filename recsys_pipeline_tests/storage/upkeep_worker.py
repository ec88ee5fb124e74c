"""A landing table with upkeep every few commits, and a process that writes to it until killed."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta

from recsys_pipeline.storage import landing_log, landing_upkeep, landing_vacuum
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.local_store import LocalStore
from recsys_pipeline_tests.storage.landing_rows import rows

ROWS = 3  # of a Kafka commit
SMALL = {
    "CHECKPOINT": 2, "ROUND": 4, "UPLOADED": 3,
    "KEPT": 4, "SETTLED_SECONDS": 0, "MOVED": 8, "SEGMENT": 8,
}  # fmt: skip


def shrink(put, **more) -> None:
    """Make every bound of upkeep small, so that all of it happens within a few commits."""
    for module in (landing_log, landing_upkeep, landing_vacuum):
        for name, value in (SMALL | more).items():
            if hasattr(module, name):
                put(module, name, value)


def app_id(partition) -> str:
    return f"kafka/cluster/events/topic/{partition}"


def stream(landing, partition, until) -> None:
    """Land a Kafka partition's messages up to an offset, from where it has landed."""
    app = app_id(partition)
    landed = landing.snapshot().offset(app)
    while (landed or 0) < until:
        end = min((landed or 0) + ROWS, until)
        frame = rows(app, range(landed or 0, end), days=2)
        landing.append_offsets(frame, app_id=app, after=landed, end=end)
        landed = end


def uploads(landing, count) -> None:
    """Land uploads of both tenants; every other one is withdrawn, every third replaced."""
    for number in range(count):
        for tenant in ("acme", "beta"):
            key = f"{tenant}{number}"
            frame = rows(f"{key}-1", range(5), tenant=tenant)
            gone = f"{tenant}{number - 1}-1" if number % 3 == 2 else None
            landing.append([frame], tenant=tenant, key=key, sequence=1, replaces=gone)
            if number % 2:
                landing.retract(f"{key}-1")


def expected(partitions, until, count) -> list[tuple[str, int]]:
    """Every (batch, position) once `stream` and `uploads` are through."""
    gone = {n for n in range(count) if n % 2} | {n - 1 for n in range(count) if n % 3 == 2}
    streamed = [(app_id(p), n) for p in range(partitions) for n in range(until)]
    batches = [f"{t}{n}-1" for n in range(count) if n not in gone for t in ("acme", "beta")]
    return sorted(streamed + [(batch, n) for batch in batches for n in range(5)])


def die_at(store_class, number, kill) -> None:
    """Die before the store's write or delete of that number, counted from 1, in this process."""
    done = 0

    def dying(method):
        def call(*arguments, **more):
            nonlocal done
            done += 1
            if done == number:
                kill()
            return method(*arguments, **more)

        return call

    store_class.write = dying(store_class.write)
    store_class.delete = dying(store_class.delete)


def main(root: str, task: str, size: str, number: str) -> None:
    """Do one writer's part.

    Args:
        root: Storage root.
        task: A Kafka partition's number, or `uploads`.
        size: Its last offset, or the number of uploads.
        number: Number of the store's write or delete before which to die; 0 for never.
    """
    shrink(setattr)
    # a real clock, so far less than a week; no reader here needs a version for as long
    landing_vacuum.RETAINED = timedelta(seconds=5)
    landing_vacuum.STAGED = timedelta(seconds=5)
    landing = Landing(root, "interactions")
    if int(number):
        die_at(LocalStore, int(number), lambda: os.kill(os.getpid(), signal.SIGKILL))
    if task == "uploads":
        uploads(landing, int(size))
    else:
        stream(landing, int(task), int(size))


if __name__ == "__main__":
    main(*sys.argv[1:])
