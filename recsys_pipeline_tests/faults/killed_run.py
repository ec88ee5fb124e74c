"""Runs the steps over a range and kills this process at the n-th file put in place.

Usage: python -m recsys_pipeline_tests.faults.killed_run ROOT DAYS POINT N
POINT is `before` or `after` the rename of that file (data files and records both count).
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

from recsys_pipeline.storage.local_store import LocalStore
from recsys_pipeline_tests.landed import all_days, run_days, settings_for

root, days, point, number = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
original = LocalStore._rename
calls = itertools.count(1)


def rename(self, local, path):
    call = next(calls)
    if call == number and point == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    target = original(self, local, path)
    if call == number and point == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return target


LocalStore._rename = rename
run_days(settings_for(root, chunk_rows=40), all_days(days))
