from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.storage import delta_files, landing_log, landing_upkeep, landing_vacuum
from recsys_pipeline.storage.delta_files import NO_FILES, DataFiles, compactable
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.landing_log import listed
from recsys_pipeline.storage.landing_upkeep import due
from recsys_pipeline.storage.local_store import LocalStore
from recsys_pipeline_tests.storage.landing_rows import landed
from recsys_pipeline_tests.storage.upkeep_worker import (
    app_id,
    die_at,
    expected,
    shrink,
    stream,
    uploads,
)

DAY = date(2025, 1, 1)
TABLE = "raw_interactions"


def live(*files) -> pl.DataFrame:
    """Rows of `live_files` from (batch, rows) or (lowest batch, highest batch, rows) each."""
    made = [
        {
            "path": f"{number:06d}",
            "size_bytes": 3_000 + 30 * file[-1],
            "num_records": file[-1],
            "partition.date": DAY,
            "partition.tenant": "acme",
            "min.batch_id": file[0],
            "max.batch_id": file[-2],
            "min.position": number,
            "max.position": number,
        }
        for number, file in enumerate(files)
    ]
    return pl.DataFrame(made, schema=NO_FILES.schema)


def merged(files, bins) -> pl.DataFrame:
    """The files after each bin has become one."""
    gone = {path for one in bins for path in one["path"]}
    kept = files.filter(~pl.col("path").is_in(gone))
    made = [
        {
            "path": min(one["path"]),
            "size_bytes": 3_000 + 30 * one["num_records"].sum(),
            "num_records": one["num_records"].sum(),
            "partition.date": DAY,
            "partition.tenant": "acme",
            "min.batch_id": one["min.batch_id"].min(),
            "max.batch_id": one["max.batch_id"].max(),
            "min.position": one["min.position"].min(),
            "max.position": one["max.position"].max(),
        }
        for one in bins
    ]
    return pl.concat([kept, pl.DataFrame(made, schema=NO_FILES.schema)])


@settings(max_examples=30, deadline=None)
@given(commits=st.lists(st.integers(1, 500), min_size=1, max_size=200), every=st.integers(1, 40))
def test_a_row_is_written_again_as_often_as_its_file_doubles(commits, every):
    files = live()
    written = 0
    for start in range(0, len(commits), every):
        fresh = live(*[("kafka/a", rows) for rows in commits[start : start + every]])
        fresh = fresh.with_columns(path=pl.format("{}-{}", pl.lit(start), "path"))
        files = pl.concat([files, fresh])
        bins = due(files)
        written += sum(one["num_records"].sum() for one in bins)
        files = merged(files, bins)
    total = sum(commits)
    assert files["num_records"].sum() == total
    doublings = total.bit_length()
    assert written <= total * doublings
    assert files.height <= doublings
    sizes = sorted(files["num_records"])
    assert all(size > sum(sizes[:rank]) for rank, size in enumerate(sizes))


def test_a_growing_day_is_not_written_as_a_whole_each_time():
    large = ("kafka/a", 100_000)
    (one,) = due(live(large, *[("kafka/a", 20)] * 40))
    assert one.height == 40
    assert due(live(large, ("kafka/a", 800))) == []


@pytest.mark.parametrize("choose", [compactable, due])
def test_a_streamed_batch_is_merged_with_itself_only(choose):
    files = live(
        *[("kafka/a", 20), ("kafka/b", 20)] * 9,
        *[("f1-1", 20), ("f2-1", 20)] * 9,
        *[("kafka/a", "kafka/b", 20)] * 2,
    )
    batches = Counter()
    for one in choose(files):
        batches[frozenset([*one["min.batch_id"], *one["max.batch_id"]])] += one.height
    uploaded = frozenset({"f1-1", "f2-1", "kafka/a", "kafka/b"})
    assert batches == {frozenset({"kafka/a"}): 9, frozenset({"kafka/b"}): 9, uploaded: 20}


def test_few_uploads_stay_apart_as_their_statistics_tell_what_is_in_them():
    assert due(live(*[(f"f{n}-1", 20) for n in range(7)])) == []
    assert len(due(live(*[(f"f{n}-1", 20) for n in range(8)]))) == 1
    assert len(compactable(live(("f1-1", 20), ("f2-1", 20)))) == 1


def test_a_file_without_statistics_is_merged_too():
    unknown = live(*[("f-1", 1)] * 8).with_columns(
        num_records=pl.lit(None, pl.Int64), **{"min.batch_id": pl.lit(None, pl.String)}
    )
    (one,) = due(unknown)
    assert one.height == 8


def test_a_round_is_bounded(monkeypatch):
    files = live(*[(f"kafka/{number % 50:02d}", 20) for number in range(1_000)])
    monkeypatch.setattr(landing_upkeep, "MERGED_FILES", 100)
    assert [one.height for one in due(files)] == [20] * 5
    monkeypatch.setattr(landing_upkeep, "MERGED_FILES", 1)
    assert len(due(files)) == 1, "something is always done"
    monkeypatch.setattr(landing_upkeep, "MERGED_FILES", 1_000)
    monkeypatch.setattr(landing_upkeep, "MERGED_BYTES", 200_000)
    assert [one.height for one in due(files)] == [20, 20]


def test_files_of_their_final_size_are_left_alone(monkeypatch):
    monkeypatch.setattr(delta_files, "TARGET_BYTES", 8_000)
    assert due(live(*[("kafka/a", 100)] * 20)) == []


@pytest.mark.parametrize(
    ("version", "latest", "step", "number"),
    [
        (0, 1, 20, 0), (18, 19, 20, 0), (19, 20, 20, 20), (19, 21, 20, 20), (20, 21, 20, 0),
        (19, 60, 20, 60), (0, 0, 20, 0),
    ],
)  # fmt: skip
def test_what_is_due_follows_from_the_versions(version, latest, step, number):
    assert landing_upkeep._passed(version, latest, step) == number


def test_work_is_due_to_the_writer_that_reaches_a_number(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(landing_upkeep, "_compact", lambda landing: done.append("compact"))
    monkeypatch.setattr(
        landing_upkeep, "_clear", lambda landing, v, turn: done.append(f"clear {v} {turn}")
    )
    monkeypatch.setattr(
        landing_upkeep, "checkpoint", lambda *arguments: done.append(f"checkpoint {arguments[-1]}")
    )
    monkeypatch.setattr(landing_upkeep, "CHECKPOINT", 5)
    monkeypatch.setattr(landing_upkeep, "ROUND", 10)
    stream(Landing(str(tmp_path), "interactions"), 0, 3 * 21)
    assert done == [
        "checkpoint 5", "compact", "checkpoint 10", "clear 10 1", "checkpoint 15", "compact",
        "checkpoint 20", "clear 20 2",
    ]  # fmt: skip


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the code may clean up."""


@pytest.mark.slow
def test_killed_before_every_other_write_and_delete(tmp_path, monkeypatch):
    shrink(monkeypatch.setattr)
    now = landing_vacuum._now
    # each life is a month after the one before: what may be deleted is
    monkeypatch.setattr(landing_vacuum, "_now", lambda: now() + lives * 30 * 86_400_000)
    landing = Landing(str(tmp_path), "interactions")
    lives = 0
    stream(landing, 0, 12)

    def die():
        raise Killed

    deaths = 0
    for lives, number in enumerate(range(1, 120, 2), 1):  # noqa: B007  # `_now` reads it
        with monkeypatch.context() as patch:
            patch.setattr(DataFiles, "discard", lambda self: None)
            patch.setattr(LocalStore, "write", LocalStore.write)
            patch.setattr(LocalStore, "delete", LocalStore.delete)
            die_at(LocalStore, number, die)
            try:
                stream(landing, 0, (landing.snapshot().offset(app_id(0)) or 0) + 12)
            except Killed:
                deaths += 1
        snapshot = landing.snapshot()
        offset = snapshot.offset(app_id(0))
        assert landed(landing) == expected(1, offset, 0)
        begin = listed(landing.store, TABLE)[0][0]
        for version in range(begin, snapshot.version + 1):
            assert landing.snapshot(version).version == version
    assert deaths > 12
    stream(landing, 0, offset + 60)
    assert landed(landing) == expected(1, offset + 60, 0)
    assert len(landing.store.list(f"{TABLE}/_delta_log")) < 25
    # what a life has left half-way, the next ones have brought to its end
    segments = {path.split("/")[2] for path in landing.store.list(f"{TABLE}/_history")}
    assert len(segments) <= 3


def worker(root, task, size, number) -> subprocess.Popen:
    module = "recsys_pipeline_tests.storage.upkeep_worker"
    command = [sys.executable, "-m", module, str(root), str(task), str(size), str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_writers_that_are_killed_again_and_again(tmp_path):
    """Three processes append, retract and keep the table up, each dying at some write or delete."""
    chance = random.Random(1)
    tasks = {"0": 240, "1": 240, "uploads": 12}
    lives = dict.fromkeys(tasks, 6)

    def start(task) -> subprocess.Popen:
        number = chance.randint(1, 150) if lives[task] else 0
        return worker(tmp_path, task, tasks[task], number)

    running = {task: start(task) for task in tasks}
    while running:
        for task, process in list(running.items()):
            _, err = process.communicate(timeout=120)
            if process.returncode == 0:
                del running[task]
                continue
            assert process.returncode == -9, err
            lives[task] -= 1
            running[task] = start(task)
    assert sum(lives.values()) < 12, "they did die"

    landing = Landing(str(tmp_path), "interactions")
    assert landed(landing) == expected(2, 240, 12)
    snapshot = landing.snapshot()
    assert [snapshot.offset(app_id(p)) for p in (0, 1)] == [240, 240]
    for number in range(12):
        for tenant in ("acme", "beta"):
            assert snapshot.sequence(tenant, f"{tenant}{number}") == 1
    straight = Landing(str(tmp_path / "straight"), "interactions")
    for partition in (0, 1):
        stream(straight, partition, 240)
    uploads(straight, 12)
    assert snapshot.content() == straight.snapshot().content()
    assert landing.changes(snapshot.version) == set()
    begin = listed(landing.store, TABLE)[0][0]
    for version in range(begin, snapshot.version + 1):
        assert landing.snapshot(version).version == version


def test_a_version_that_was_the_latest_until_now_can_be_pinned_for_a_week(tmp_path, monkeypatch):
    """The table is quiet for a month, with the last version of a segment as its latest."""
    shrink(monkeypatch.setattr)
    landing = Landing(str(tmp_path), "interactions")
    last = landing_vacuum.SEGMENT - 1
    with monkeypatch.context() as patch:
        patch.setattr(Landing, "_after_commit", lambda *_: None)
        while landing.snapshot().version < last:
            offset = landing.snapshot().offset(app_id(0)) or 0
            stream(landing, 0, offset + 3)
    for commit in (tmp_path / TABLE / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        for action in actions:
            if "commitInfo" in action:
                action["commitInfo"]["timestamp"] -= 30 * 86_400_000
        commit.write_text("\n".join(map(json.dumps, actions)))
    pinned = landing.snapshot()
    assert pinned.version == last
    before = pinned.scan().collect().height
    stream(landing, 0, (pinned.offset(app_id(0)) or 0) + 100)
    assert listed(landing.store, TABLE)[0][0] > last
    assert landing.snapshot(last).scan().collect().height == before


def test_a_commit_that_came_late_does_not_replace_the_history(tmp_path):
    """While one process moves a version, another has moved it, and a third writes it anew."""
    store = LocalStore(str(tmp_path))
    store.write("log/5", b"real")

    class Raced(LocalStore):
        def read(self, path):
            if store.identity("history/5") is None:
                store.write("history/5", b"real")
                store.write("log/5", b"late")
            return super().read(path)

    landing_log._copy(Raced(str(tmp_path)), "log/5", "history/5")
    assert store.read("history/5") == b"real"
