"""Many small commits into a landing table, and what one of them costs as the table grows.

Run: .venv/bin/python benchmarks/landing_commits.py --commits 100000
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from datetime import UTC, date, datetime, timedelta

import polars as pl
from deltalake import DeltaTable

from recsys_pipeline.storage.delta_files import live_files
from recsys_pipeline.storage.landing import Landing

WINDOW = 100
PARTITIONS = 4  # of the topic
TENANTS = ("acme", "beta", "gamma", "delta")
FIRST_DAY = date(2025, 1, 1)
ROWS = 20  # per file
LATE = 0.05  # share of commits with rows of an earlier day


def stream(number: int, per_day: int, offset: int, app_id: str) -> pl.DataFrame:
    """Return the rows of a commit: one to four tenants of one day, now and then a late day too."""
    chance = random.Random(number)  # noqa: S311  # no secret
    day = FIRST_DAY + timedelta(days=number // per_day)
    parts = [(day, tenant) for tenant in chance.sample(TENANTS, chance.randint(1, 4))]
    if chance.random() < LATE:
        parts.append((day - timedelta(days=chance.randint(1, 7)), chance.choice(TENANTS)))
    rows = ROWS * len(parts)
    known = {
        "received_at": pl.Series([datetime.now(UTC)] * rows),
        "batch_id": [app_id] * rows,
        "position": range(offset, offset + rows),
        "source": ["kafka:events/0"] * rows,
        "parked": [False] * rows,
        "date": [day for day, _ in parts for _ in range(ROWS)],
        "tenant": [tenant for _, tenant in parts for _ in range(ROWS)],
        "user_id": [f"user-{chance.randint(0, 10_000)}" for _ in range(rows)],
        "item_id": [f"item-{chance.randint(0, 10_000)}" for _ in range(rows)],
        "interaction_type": ["view"] * rows,
    }
    schema = dict(EMPTY.schema)
    return pl.DataFrame({name: known.get(name, [None] * rows) for name in schema}, schema=schema)


def main() -> None:
    """Commit, and print a line per window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=10_000, help="commits between two lines")
    parser.add_argument("--per-day", type=int, default=10_000, help="commits per day of events")
    parser.add_argument("--root", help="storage root; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.root or folder, options.commits, options.every, options.per_day)


def measure(root: str, commits: int, every: int, per_day: int) -> None:
    """Make the commits one after the other, each by a `Landing` of its own."""
    offsets: dict[str, int] = {}
    rows = 0
    block: list[float] = []
    print("|  commits | p50 ms | p99 ms | max ms | mean ms since | live files | log files |")  # noqa: T201
    print("|---------:|-------:|-------:|-------:|--------------:|-----------:|----------:|")  # noqa: T201
    for number in range(commits):
        app_id = f"kafka/cluster/events/topic/{number % PARTITIONS}"
        frame = stream(number, per_day, offsets.get(app_id, 0), app_id)
        end = offsets.get(app_id, 0) + frame.height
        began = time.perf_counter()
        Landing(root, "interactions").append_offsets(
            frame, app_id=app_id, after=offsets.get(app_id), end=end
        )
        block.append((time.perf_counter() - began) * 1_000)
        offsets[app_id] = end
        rows += frame.height
        done = number + 1
        if done in (WINDOW, commits) or done % every == 0:
            tell(root, done, block)
            block = []
    landing = Landing(root, "interactions")
    landed = sum(one.rows for one in landing.snapshot().content().values())
    read = landing.snapshot().scan().select(pl.len()).collect(engine="streaming").item()
    print(f"\n{rows:,} rows were sent, {landed:,} are told by the log, {read:,} are read")  # noqa: T201


def tell(root: str, done: int, block: list[float]) -> None:
    """Print the line of the last `WINDOW` commits of a block."""
    window = sorted(block[-WINDOW:])
    landing = Landing(root, "interactions")
    live = live_files(DeltaTable(landing.uri)).height
    log = len(landing.store.list("raw_interactions/_delta_log"))
    p50, p99 = window[len(window) // 2], window[max(len(window) * 99 // 100 - 1, 0)]
    mean = sum(block) / len(block)
    print(  # noqa: T201
        f"| {done:>8,} | {p50:>6.1f} | {p99:>6.1f} | {window[-1]:>6.0f} | {mean:>13.1f} "
        f"| {live:>10,} | {log:>9,} |",
        flush=True,
    )


EMPTY = pl.DataFrame(
    schema=dict(Landing("/nowhere", "interactions").snapshot(-1).scan().collect_schema())
)

if __name__ == "__main__":
    main()
