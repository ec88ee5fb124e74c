"""Small releases for tests: a landing of eight days, run through to samples once and then copied."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import polars as pl

from recsys_pipeline.engines.release import Released, make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)

DAYS = 8
SEED = 13
QUIET = 3  # the one day without events
SPEC = ReleaseSpec(
    "acme", START, START + timedelta(days=DAYS - 1), validation_days=1, test_days=1, shard_rows=60
)


def day(number: int) -> date:
    """Return a day of the small landing, from 0."""
    return START + timedelta(days=number)


def make_root(root: Path) -> None:
    """Land and run eight days; `small_root` copies one that is made once a process."""
    land(root, random_events(SEED, 700, DAYS), "a")
    items = [
        item_version(item=f"i{n}", category=f"c{n % 3}", brand=None if n % 4 else f"b{n % 5}")
        for n in range(14)
    ]
    land(root, items, "b", "items")
    run_days(settings_for(root), all_days(DAYS))


@cache
def _made() -> Path:
    root = Path(tempfile.mkdtemp(prefix="recsys-tests-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    make_root(root)
    return root


def small_root(target: Path) -> Path:
    """Copy the landing and all that was published of it to a folder."""
    shutil.copytree(_made(), target, dirs_exist_ok=True, copy_function=shutil.copy2)
    return target


def release(root, spec=SPEC, **changes) -> Released:
    """Make a release of a root's days."""
    asked = replace(spec, **changes)
    return make_release(view_of(settings_for(root), [asked.tenant]), asked)


def rows_of(made: Released, split: str) -> pl.DataFrame:
    """Read a split's shards, in order."""
    paths = sorted((Path(made.uri) / split).glob("*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])


def samples_of(root, tenant="acme") -> pl.DataFrame:
    """Read a tenant's published samples."""
    paths = sorted(Path(root).glob(f"training_samples/*/tenant={tenant}/*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])
