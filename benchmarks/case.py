"""Run one contender once, in this process: `python -m benchmarks.case SUBJECT CONTENDER MILLIONS`."""

from __future__ import annotations

import importlib
import json
import sys
import time


def main() -> None:
    """Prepare, time the work, and print the seconds as JSON."""
    subject, contender, millions = sys.argv[1:4]
    prepare = getattr(importlib.import_module(f"benchmarks.cases.{subject}"), contender)
    work = prepare(int(millions))
    began = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
