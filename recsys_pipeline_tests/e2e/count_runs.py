"""Prints how many runs of each status the instance at DAGSTER_HOME has recorded."""

from __future__ import annotations

from collections import Counter

import dagster as dg

if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        for status, count in sorted(Counter(r.status.value for r in instance.get_runs()).items()):
            print(f"runs {status} {count}")
