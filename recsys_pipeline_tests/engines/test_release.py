"""Releases depend on nothing but their inputs: the same of them, the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest

from recsys_pipeline.storage.layout import TEMPORARY
from recsys_pipeline_tests.landed import (
    all_days,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
)
from recsys_pipeline_tests.releases import DAYS, SEED, release, rows_of, small_root


@pytest.fixture
def root(tmp_path):
    return small_root(tmp_path / "root")


def test_it_is_found_the_second_time_and_nothing_is_written(root):
    made = release(root)
    stamps = {p: p.stat().st_mtime_ns for p in (root / "training_dataset").rglob("*")}
    again = release(root)
    assert (made.is_new, again.is_new) == (True, False)
    assert again.manifest == made.manifest
    assert {p: p.stat().st_mtime_ns for p in (root / "training_dataset").rglob("*")} == stamps
    other = release(root, seed=1)
    assert other.manifest.release != made.manifest.release
    assert other.is_new


def test_a_release_made_anew_has_the_same_bytes_and_is_not_replaced(root, monkeypatch):
    from recsys_pipeline.storage.releases import Releases

    made = release(root)
    stamps = {p: p.stat().st_mtime_ns for p in (root / "training_dataset").rglob("*")}
    monkeypatch.setattr(Releases, "find", lambda *_: None)  # as if the recipe were another
    again = release(root)
    assert not again.is_new
    assert again.manifest == made.manifest
    assert {p: p.stat().st_mtime_ns for p in (root / "training_dataset").rglob("*")} == stamps


def file_bytes(made) -> dict[str, str]:
    return {file.path: file.blake2b for file in made.manifest.content.files}


def test_what_killed_runs_have_left_goes_once_it_is_a_day_old(root):
    left = root / TEMPORARY
    left.mkdir(parents=True, exist_ok=True)
    for name, hours in (("old", 25), ("young", 23)):
        (left / name).touch()
        at = time.time() - hours * 3600
        os.utime(left / name, (at, at))
    release(root)
    assert [path.name for path in left.iterdir()] == ["young"]


@pytest.mark.slow
def test_order_of_rows_days_and_runs_changes_no_byte(root, tmp_path, monkeypatch):
    from recsys_pipeline.engines import release_rows, scatter

    made = release(root)
    other = tmp_path / "other"
    events = random_events(SEED, 700, DAYS)
    land(other, events[::-1][:350], "a")
    land(other, events[::-1][350:], "b")
    items = [
        item_version(item=f"i{n}", category=f"c{n % 3}", brand=None if n % 4 else f"b{n % 5}")
        for n in reversed(range(14))
    ]
    land(other, items, "b", "items")
    config = settings_for(other)
    for one in reversed(all_days(DAYS)):
        run_days(config, [one])
    run_days(config, all_days(DAYS))
    monkeypatch.setattr(scatter, "RUN_ROWS", 7)
    monkeypatch.setattr(release_rows, "PIECE_ROWS", 9)
    again = release(other)
    assert file_bytes(again) == file_bytes(made)
    assert again.manifest.release == made.manifest.release


_CHILD = """
import sys
from recsys_pipeline_tests.releases import release
print(release(sys.argv[1]).manifest.release)
"""


@pytest.mark.slow
def test_threads_change_no_byte(root, tmp_path):
    found = set()
    for threads in (1, 2):
        copied = tmp_path / f"with-{threads}"
        shutil.copytree(root, copied)
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(copied)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "POLARS_MAX_THREADS": str(threads)},
        )
        found.add(done.stdout.strip())
    assert found == {release(root).manifest.release}


def test_the_shards_are_the_order_of_the_shuffle_whatever_their_number(root):
    few, many = release(root, shard_rows=10**6), release(root, shard_rows=20)
    columns = few.manifest.content.columns
    names = [column.name for column in columns]
    assert rows_of(few, "train").select(names).equals(rows_of(many, "train").select(names))
    sizes = [f.rows for f in many.manifest.content.files if f.path.startswith("train/")]
    assert len(sizes) > 10
    assert max(sizes) < 60
