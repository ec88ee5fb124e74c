"""Guarantees 3 and 4: a killed range leaves whole files, and the re-run goes on from there."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys

import polars as pl
import pytest

from recsys_pipeline_tests.landed import (
    all_days,
    event,
    file_hashes,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
)


def _killed(root, days, point, number) -> int:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "recsys_pipeline_tests.faults.killed_run",
            str(root),
            str(days),
            point,
            str(number),
        ],
        check=False,
        timeout=300,
    ).returncode


def _readable(root) -> None:
    for path in root.rglob("*.parquet"):
        pl.read_parquet(path, hive_partitioning=False)


def _clone(source, target):
    for table in source.glob("raw_*"):
        shutil.copytree(table, target / table.name)


@pytest.mark.parametrize(
    ("point", "number"),
    [
        pytest.param("before", 3, marks=pytest.mark.slow),
        pytest.param("after", 4, marks=pytest.mark.slow),
        ("before", 40),
    ],
)
def test_files_are_whole_and_the_rerun_is_right(tmp_path, point, number):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    land(whole, random_events(1, 120, 6), "a")
    land(whole, [item_version(item=f"i{n}") for n in range(15)], "b", "items")
    _clone(whole, killed)
    run_days(settings_for(whole), all_days(6))

    assert _killed(killed, 6, point, number) == -signal.SIGKILL
    _readable(killed)
    run_days(settings_for(killed), all_days(6))
    assert file_hashes(killed) == file_hashes(whole)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_sparse_years_killed_twice(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    rng = random.Random(5)
    busy = sorted(rng.sample(range(5 * 365), 120))
    rows = [
        event(
            "acme", day, rng.randrange(86_400), f"u{rng.randrange(9)}", f"i{rng.randrange(9)}", kind
        )
        for day in busy
        for kind in ("view", "click", "purchase")
    ]
    land(whole, rows, "a")
    _clone(whole, killed)
    days = 5 * 365
    run_days(settings_for(whole), all_days(days))

    published = []
    for point, number in (("after", 5000), ("before", 3500)):
        assert _killed(killed, days, point, number) == -signal.SIGKILL
        _readable(killed)
        published.append(set(file_hashes(killed)))
    assert published[0]
    assert published[0] < published[1]  # the days published before the kill stay
    run_days(settings_for(killed), all_days(days))
    assert file_hashes(killed) == file_hashes(whole)
