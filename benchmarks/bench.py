"""Our own work against others' at the same, in fresh processes that take turns.

Run: make bench [ONLY=features] [ROUNDS=5], make bench-full

Each round runs every contender of a subject once. A figure is the median over rounds; a ratio is the
median of the rounds' ratios, since the machine's mood is in both sides of each. Results are merged into
`results.json` and written into `README.md` as a table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.charts import draw
from benchmarks.data import FOLDER

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
        subject: Module of `benchmarks.cases`.
        ours: Our contender.
        peer: The other.
        target: Times as fast as the peer at least; or, for `share`, part of its time at most.
        kind: Which of the two.
        millions: Million events.
    """

    subject: str
    ours: str
    peer: str
    target: float
    kind: Literal["times", "share"] = "times"
    millions: int = 10


COMPARISONS = (
    Comparison("features", "ours", "duckdb", 4),
    Comparison("features", "ours", "polars_naive", 1),
    Comparison("features", "ours", "polars_plain", 1),
    Comparison("features", "ours", "pandas", 1),
    Comparison("features", "ours", "pyspark", 1, millions=1),
    Comparison("features", "ours", "floor", 4, "share"),
    Comparison("history", "features", "features.duckdb", 6),
    Comparison("new_day", "ours", "from_scratch", 0.12, "share"),
    Comparison("new_day", "ours", "features.polars_naive", 0.03, "share"),
    Comparison("sampling", "ours", "recommenders", 150, millions=1),
    Comparison("sampling", "ours", "recbole", 8, millions=1),
    Comparison("sampling", "ours", "recbole", 8),
    Comparison("validation", "ours", "duckdb", 2.5),
    Comparison("validation", "ours", "great_expectations", 35),
    Comparison("uploads", "ours", "pandas", 2, millions=1),
    Comparison("uploads", "ours", "duckdb", 2, millions=1),
    Comparison("point_in_time", "ours", "duckdb", 2.5),
    Comparison("point_in_time", "ours", "polars_asof", 1),
    Comparison("s3", "upload", "raw_put", 0.7),
    Comparison("s3", "ours", "raw_put", 0.7),
    Comparison("loading", "ours", "dagster", 3, "share", 0),
    Comparison("history", "features", "features.duckdb", 12, millions=50),
    Comparison("history", "features", "features.polars_naive", 1, millions=50),
    Comparison("history", "features", "features.floor", 4, "share", 50),
    Comparison("new_day", "ours", "features.polars_naive", 0.015, "share", 50),
    Comparison("new_day", "ours", "history.features", 0.12, "share", 50),
    Comparison("history", "features", "features.floor", 4, "share", 100),
)
# contenders that live in an environment of their own
PEERS = frozenset({"recommenders", "recbole", "great_expectations", "pyspark"})
FULL = 50  # million events from which on a comparison is of `make bench-full`


@dataclass
class Run:
    """What a process took: seconds of its work, and the most memory that it held."""

    seconds: float
    peak_gib: float


def run(subject: str, contender: str, millions: int) -> Run:
    """Run a contender in a fresh process."""
    if "." in contender:
        subject, contender = contender.split(".")
    own = contender not in PEERS
    python = sys.executable if own else str(FOLDER / "peers/bin/python")
    module = [f"-m{__package__}.case", subject] if own else [str(HERE / "peers.py")]
    command = [python, *module, contender, str(millions)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{subject} {contender} failed with code {process.returncode}")
    seconds = float(json.loads(output.strip().splitlines()[-1])["seconds"])
    return Run(seconds, usage.ru_maxrss / 2**20)


def measure(comparisons: list[Comparison], rounds: int) -> list[dict[str, object]]:
    """Run all contenders of one subject and size in turn, round by round."""
    subject, size = comparisons[0].subject, comparisons[0].millions
    contenders = list(dict.fromkeys(name for c in comparisons for name in (c.ours, c.peer)))
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in contenders if number % 2 == 0 else contenders[::-1]:
            runs[name].append(run(subject, name, size))
        told = ", ".join(f"{name} {found[-1].seconds:.2f} s" for name, found in runs.items())
        print(f"{subject}, round {number + 1}: {told}", flush=True)
    rows: list[dict[str, object]] = []
    for one in comparisons:
        pairs = list(zip(runs[one.ours], runs[one.peer], strict=True))
        by_round = [
            theirs.seconds / ours.seconds if one.kind == "times" else ours.seconds / theirs.seconds
            for ours, theirs in pairs
        ]
        ratio = statistics.median(by_round)
        rows.append(
            {
                "metric": f"{_name(one)}: ours / {one.peer}"
                if one.kind == "share"
                else f"{_name(one)}: times as fast as {one.peer}",
                "subject": subject,
                "ours": round(statistics.median(run.seconds for run, _ in pairs), 3),
                "peer": round(statistics.median(run.seconds for _, run in pairs), 3),
                "ratio": round(ratio, 3),
                "target": one.target,
                "met": ratio >= one.target if one.kind == "times" else ratio <= one.target,
                "kind": one.kind,
                "peak_gib": round(max(run.peak_gib for run, _ in pairs), 2),
                "peer_peak_gib": round(max(run.peak_gib for _, run in pairs), 2),
                "rounds": rounds,
                "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            }
        )
    return rows


def _name(one: Comparison) -> str:
    contender = "" if one.ours in {"ours", one.subject} else f" {one.ours}"
    return f"{one.subject}{contender}, {one.millions}M"


def table(rows: list[dict[str, object]]) -> str:
    """Return the results as Markdown."""
    lines = [
        "| metric | ours, s | peer, s | ratio | aim | met | our peak, GiB | peer's |",
        "|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    for row in rows:
        aim = f"≥ {row['target']:g}" if row["kind"] == "times" else f"≤ {row['target']:g}"
        lines.append(
            f"| {row['metric']} | {row['ours']:.2f} | {row['peer']:.2f} | {row['ratio']:.3g} | {aim} "
            f"| {'yes' if row['met'] else 'no'} | {row['peak_gib']:.2f} | {row['peer_peak_gib']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure the chosen subjects and bring the results up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="subjects, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="50 and 100 million events")
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name]
    if unknown := set(wanted) - {c.subject for c in COMPARISONS}:
        parser.error(f"nothing is compared under {min(unknown)!r}")
    has_peers = (FOLDER / "peers/bin/python").exists()
    groups: dict[tuple[str, int], list[Comparison]] = {}
    for one in COMPARISONS:
        chosen = (not wanted or one.subject in wanted) and options.full == (one.millions >= FULL)
        if chosen and (has_peers or one.peer not in PEERS):
            groups.setdefault((one.subject, one.millions), []).append(one)
    FOLDER.mkdir(exist_ok=True)
    for group in groups.values():
        found = measure(group, options.rounds)
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        names = {row["metric"] for row in found}
        rows = [row for row in kept if row["metric"] not in names] + found
        rows.sort(key=lambda row: str(row["metric"]))
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
        draw(rows)
        readme = (HERE / "README.md").read_text()
        before, rest = readme.split(BEGIN)
        after = rest.split(END)[1]
        (HERE / "README.md").write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}")
        print(table(found), flush=True)


if __name__ == "__main__":
    main()
