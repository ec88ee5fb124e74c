"""Our own work against others' at the same, in fresh processes that take turns.

Run: make bench [ONLY=features] [ROUNDS=5] [MILLIONS=10]

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
    """

    subject: str
    ours: str
    peer: str
    target: float
    kind: Literal["times", "share"] = "times"


COMPARISONS = (
    Comparison("features", "ours", "duckdb", 4),
    Comparison("features", "ours", "polars_naive", 1),
    Comparison("features", "ours", "polars_plain", 1),
    Comparison("features", "ours", "pandas", 1),
    Comparison("features", "ours", "floor", 4, "share"),
    Comparison("new_day", "ours", "from_scratch", 0.12, "share"),
    Comparison("new_day", "ours", "features.polars_naive", 0.03, "share"),
    Comparison("sampling", "ours", "recommenders", 150),
    Comparison("sampling", "ours", "recbole", 8),
    Comparison("validation", "ours", "duckdb", 2.5),
    Comparison("validation", "ours", "great_expectations", 35),
    Comparison("uploads", "ours", "pandas", 2),
    Comparison("uploads", "ours", "duckdb", 2),
    Comparison("point_in_time", "ours", "duckdb", 2.5),
    Comparison("point_in_time", "ours", "polars_asof", 1),
    Comparison("loading", "ours", "dagster", 3, "share"),
)
# contenders that live in an environment of their own
PEERS = frozenset({"recommenders", "recbole", "great_expectations"})
# subjects that have a size of their own, in million events
SIZES = {"sampling": 1, "uploads": 1, "loading": 0}


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


def measure(comparisons: list[Comparison], rounds: int, millions: int) -> list[dict[str, object]]:
    """Run all contenders of one subject in turn, round by round."""
    subject = comparisons[0].subject
    size = SIZES.get(subject, millions)
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
                "metric": f"{subject}, {size}M: ours / {one.peer}"
                if one.kind == "share"
                else f"{subject}, {size}M: times as fast as {one.peer}",
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
    parser.add_argument("--millions", type=int, default=10)
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name]
    subjects = wanted or list(dict.fromkeys(c.subject for c in COMPARISONS))
    has_peers = (FOLDER / "peers/bin/python").exists()
    FOLDER.mkdir(exist_ok=True)
    for subject in subjects:
        chosen = [c for c in COMPARISONS if c.subject == subject]
        chosen = [c for c in chosen if has_peers or c.peer not in PEERS]
        if not chosen:
            parser.error(f"nothing is compared under {subject!r}")
        found = measure(chosen, options.rounds, options.millions)
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        names = {row["metric"] for row in found}
        rows = [row for row in kept if row["metric"] not in names] + found
        rows.sort(key=lambda row: str(row["metric"]))
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
        readme = (HERE / "README.md").read_text()
        before, rest = readme.split(BEGIN)
        after = rest.split(END)[1]
        (HERE / "README.md").write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}")
        print(table(found), flush=True)


if __name__ == "__main__":
    main()
