"""Fault schedules: `python -m recsys_pipeline_tests.faults`.

Ends with one line a suite. The exit code is 1 when a fault was found, or a schedule could not be
carried out; its seed and how to replay it are told.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from recsys_pipeline_tests.faults.defects import DEFECTS
from recsys_pipeline_tests.faults.harness import run_suite
from recsys_pipeline_tests.faults.suites import SUITES

# a schedule mostly waits: for a broker's answer, or for a child
JOBS = 2 * (os.cpu_count() or 1)


def main(words: list[str] | None = None) -> int:
    """Run the suites asked for."""
    parser = argparse.ArgumentParser(prog="recsys_pipeline_tests.faults", description=__doc__)
    parser.add_argument("--suite", choices=sorted(SUITES), help="one suite; all by default")
    parser.add_argument("--schedules", type=int, help="schedules a suite; its own by default")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first; the next follow")
    parser.add_argument("--jobs", type=int, default=JOBS, help="schedules at the same time")
    parser.add_argument("--broken", choices=sorted(DEFECTS), help="a defect that is to be found")
    asked = parser.parse_args(words)
    totals = []
    for name in [asked.suite] if asked.suite else SUITES:
        began = time.monotonic()
        schedules = asked.schedules or SUITES[name].schedules
        seeds = range(asked.seed, asked.seed + schedules)
        totals.append(run_suite(name, seeds, asked.jobs, _say, asked.broken))
        failed = totals[-1].failed
        words = f", {failed} schedules could not be carried out" if failed else ""
        _say(f"{name}: {time.monotonic() - began:.0f} s{words}")
    for total in totals:
        _say(str(total))
    return 0 if all(total.clean for total in totals) else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
