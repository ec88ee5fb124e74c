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
    chance = random.Random(number)  # no secret
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


class Stream:
    """Commits to a table one after the other, each by a `Landing` of its own."""

    def __init__(self, root: str, per_day: int) -> None:
        self.root = root
        self.per_day = per_day
        self.rows = 0
        self.times: list[float] = []  # milliseconds
        self._offsets: dict[str, int] = {}

    def commit(self) -> None:
        """Land the rows of the next commit: open, check the offset, write, commit, upkeep."""
        number = len(self.times)
        app_id = f"kafka/cluster/events/topic/{number % PARTITIONS}"
        after = self._offsets.get(app_id)
        frame = stream(number, self.per_day, after or 0, app_id)
        end = (after or 0) + frame.height
        began = time.perf_counter()
        landing = Landing(self.root, "interactions")
        landing.append_offsets(frame, app_id=app_id, after=after, end=end)
        self.times.append((time.perf_counter() - began) * 1_000)
        self._offsets[app_id] = end
        self.rows += frame.height

    def last(self) -> str:
        """Return median, 99th percentile and largest of the last `WINDOW` commits."""
        window = sorted(self.times[-WINDOW:])
        return f"{window[WINDOW // 2]:6.1f} | {window[WINDOW * 99 // 100 - 1]:6.1f} | {window[-1]:6.0f}"


def main() -> None:
    """Commit, and print a line now and then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=10_000, help="commits between two lines")
    parser.add_argument("--per-day", type=int, default=20_000, help="commits per day of events")
    parser.add_argument("--root", help="storage root; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        grown = Stream(f"{options.root or folder}/grown", options.per_day)
        say("| commits | p50 ms | p99 ms | max ms | new p50 | new p99 | new max | files | logs |")
        say("|--------:|-------:|-------:|-------:|--------:|--------:|--------:|------:|-----:|")
        for done in range(WINDOW, options.commits + 1, WINDOW):
            told = done == WINDOW or done % options.every == 0
            # the machine's mood is in both, as their commits take turns
            new = Stream(f"{options.root or folder}/new-{done}", options.per_day) if told else None
            for _ in range(WINDOW):
                grown.commit()
                if new is not None:
                    new.commit()
            if new is not None:
                say(f"| {done:7,} | {grown.last()} | {new.last()} | {files(grown.root)} |")
        mean = sum(grown.times) / len(grown.times)
        say(f"\n{sum(grown.times) / 60_000:.0f} minutes, {mean:.1f} ms a commit, upkeep included")
        say(f"{grown.rows:,} rows were sent, {read(grown.root):,} are read")


def files(root: str) -> str:
    """Return the number of live files, and of files in the log."""
    landing = Landing(root, "interactions")
    live = live_files(DeltaTable(landing.uri)).height
    return f"{live:5,} | {len(landing.store.list('raw_interactions/_delta_log')):4,}"


def read(root: str) -> int:
    """Return the number of rows in the table."""
    rows = Landing(root, "interactions").snapshot().scan().select(pl.len())
    return int(rows.collect(engine="streaming").item())


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


EMPTY = pl.DataFrame(
    schema=dict(Landing("/nowhere", "interactions").snapshot(-1).scan().collect_schema())
)

if __name__ == "__main__":
    main()
