"""Upkeep of the landing zone, on every store."""

from __future__ import annotations

import io
import logging
import uuid
from datetime import timedelta

import polars as pl
import pytest
from deltalake import DeltaTable, Transaction

from recsys_pipeline.errors import LandingError
from recsys_pipeline.storage import landing_log, landing_upkeep, landing_vacuum
from recsys_pipeline.storage.delta_files import DataFiles, live_files
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.landing_log import history_file, listed, log_file, shorten
from recsys_pipeline_tests.storage.landing_rows import landed, rows
from recsys_pipeline_tests.storage.upkeep_worker import app_id, expected, shrink, stream, uploads

TABLE = "raw_interactions"


# what a store can make different: listings, reads of what has moved, deletions, conditional writes. The
# other tests are of numbers and times; each makes hundreds of requests
everywhere = pytest.mark.parametrize(
    "root", ["local", pytest.param("s3", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def root(request, tmp_path) -> str:
    """An empty storage root."""
    if getattr(request, "param", "local") == "local":
        return str(tmp_path / "store of data")
    return f"{request.getfixturevalue('s3_bucket')}/{uuid.uuid4().hex}"


@pytest.fixture
def landing(root, monkeypatch) -> Landing:
    shrink(monkeypatch.setattr)
    return Landing(root, "interactions")


@pytest.fixture
def later(monkeypatch):
    """Make upkeep believe that it is so many days later, and that commits take no time."""
    now = landing_vacuum._now
    monkeypatch.setattr(landing_vacuum, "STAGED", timedelta())

    def move(days) -> None:
        monkeypatch.setattr(landing_vacuum, "_now", lambda: now() + int(days * 86_400_000))

    return move


def state(snapshot) -> tuple:
    """All that a version says: its files, its content, its app transactions."""
    apps = (snapshot.offset(app_id(0)), snapshot.sequence("acme", "acme0"))
    return sorted(snapshot._live["path"]), snapshot.content(), apps


def recorded(landing, monkeypatch, act) -> dict[int, tuple]:
    """Run `act`, and return the state of each version as it was right after its commit."""
    states = {}

    def noting(self, version):
        states[version + 1] = state(self.snapshot(version + 1))
        landing_upkeep.upkeep(self, version)

    with monkeypatch.context() as patch:
        patch.setattr(Landing, "_after_commit", noting)
        act()
    return states


@everywhere
def test_every_version_opens_as_it_was_and_every_change_is_named(landing, monkeypatch):
    states = recorded(landing, monkeypatch, lambda: (stream(landing, 0, 60), uploads(landing, 3)))
    latest = landing.snapshot().version
    assert sorted(states) == list(range(1, latest + 1))
    jsons, checkpoints = listed(landing.store, TABLE)
    assert jsons[0] == checkpoints[0] > 10, "the log begins at a checkpoint, the rest has moved"
    assert len(jsons) <= 4 + 4 + 2
    for version, then in states.items():
        pinned = landing.snapshot(version)
        assert state(pinned) == then
        assert pinned.scan().collect().height == sum(one.rows for one in then[1].values())
        changed = {
            pair
            for pair in then[1] | states[latest][1]
            if then[1].get(pair) != states[latest][1].get(pair)
        }
        assert changed <= landing.changes(version)
        if version > 1:
            named = landing.changes(version - 1) - landing.changes(version)
            assert named <= set(then[1]) | set(states[version - 1][1])
    assert landing.snapshot(0).content() == {}
    assert landed(landing) == expected(1, 60, 3)


def without_upkeep(landing, until) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Landing, "_after_commit", lambda *_: None)
        stream(landing, 0, until)


@everywhere
def test_a_compaction_is_no_change(landing):
    without_upkeep(landing, 30)
    landed_before, files = landing.snapshot(), landing.snapshot()._live
    merged = landing_upkeep.due(files)
    assert merged
    assert landing.merge(landing._open(), merged)
    after = landing.snapshot()
    assert after._live.height < files.height
    assert after.content() == landed_before.content()
    assert landing.changes(landed_before.version) == set()
    one_batch = after._live["min.batch_id"] == after._live["max.batch_id"]
    assert one_batch.all(), "statistics go on to tell what a file holds"


def test_live_files_and_log_files_stay_few(landing):
    stream(landing, 0, 150)
    assert landing.snapshot()._live.height < 30
    assert len(landing.store.list(f"{TABLE}/_delta_log")) < 20
    assert landed(landing) == expected(1, 150, 0)


def test_app_transactions_outlive_the_log(landing):
    uploads(landing, 2)
    stream(landing, 0, 90)
    snapshot = landing.snapshot()
    assert snapshot.offset(app_id(0)) == 90
    assert snapshot.sequence("beta", "beta1") == 1
    assert snapshot.is_retracted("acme1-1")
    assert not landing.append([rows("acme0-1", [9])], tenant="acme", key="acme0", sequence=1)


def test_a_checkpoint_has_live_files_and_app_transactions_and_no_removals(landing):
    """Removals of a week would be read at every open."""
    uploads(landing, 2)
    stream(landing, 0, 90)
    landing.compact()
    latest = listed(landing.store, TABLE)[1][-1]
    data = landing.store.read(log_file(TABLE, latest, "checkpoint.parquet"))
    found = pl.read_parquet(io.BytesIO(data))
    assert found["remove"].is_null().all()
    assert found["add"].drop_nulls().len() == landing.snapshot(latest)._live.height
    names = {one["appId"] for one in found["txn"].drop_nulls()}
    assert {app_id(0), "layout", "upload/acme/acme1", "retract/beta1-1"} <= names


@everywhere
def test_a_table_and_a_snapshot_from_before_the_log_moved(landing):
    uploads(landing, 1)
    held, table = landing.snapshot(), landing._open()
    stream(landing, 0, 90)
    assert table.version() < listed(landing.store, TABLE)[0][0]
    assert held.sequence("acme", "acme0") == 1
    assert not held.is_retracted("acme0-1")
    assert landing._next_layout(table).version == 1
    assert not landing._commit(table, [], [Transaction("late", 1)]), "a conflict: it is read anew"
    assert landing.snapshot()._transaction("late") is None


@pytest.mark.slow
def test_an_append_that_takes_longer_than_the_log_is_kept(landing):
    uploads(landing, 1)

    def slow():
        yield rows("slow-1", range(5))
        stream(landing, 0, 90)

    assert landing.append(slow(), tenant="acme", key="slow", sequence=1, replaces="acme0-1")
    wanted = [*expected(1, 90, 1), *(("slow-1", n) for n in range(5))]
    assert landed(landing) == sorted(row for row in wanted if row[0] != "acme0-1")


@pytest.mark.slow
def test_a_checkpoint_that_was_never_written_is_made_up_for(landing):
    """A process that dies after its commit skips the checkpoint that a segment would begin with."""
    kept, landing_upkeep.checkpoint = landing_upkeep.checkpoint, skipping(8, 16)
    try:
        stream(landing, 0, 90)
    finally:
        landing_upkeep.checkpoint = kept
    for version in range(landing.snapshot().version + 1):
        assert landing.snapshot(version).version == version
    assert landing.store.identity(history_file(TABLE, 8)) is not None


def skipping(*versions):
    from recsys_pipeline.storage.landing_log import checkpoint

    def write(store, uri, table, version):
        if version not in versions:
            checkpoint(store, uri, table, version)

    return write


@pytest.mark.slow
def test_upkeep_that_fails_is_told_and_done_by_a_later_commit(landing, monkeypatch, caplog):
    def broken(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(landing_upkeep, "checkpoint", broken)
        stream(landing, 0, 60)
    assert "upkeep failed" in caplog.text
    assert "disk full" in caplog.text
    assert listed(landing.store, TABLE)[1] == []
    stream(landing, 0, 120)
    assert listed(landing.store, TABLE)[0][0] > 20
    assert landed(landing) == expected(1, 120, 0)


@pytest.mark.slow
def test_nothing_is_deleted_within_a_week(landing, later):
    lost = stray(landing)
    stream(landing, 0, 90)
    later(6.9)
    stream(landing, 0, 120)
    files = set(landing.store.list(TABLE))
    assert lost in files
    assert landing.snapshot(1).scan().collect().height == 3
    added = {
        f"{TABLE}/{path}"
        for version in range(1, landing.snapshot().version + 1)
        for path in landing.snapshot(version)._live["path"]
    }
    assert added <= files


def stray(landing) -> str:
    """Write a data file that no commit names."""
    staged = DataFiles(landing.store, TABLE)
    staged.write(rows("lost-1", [0]))
    return f"{TABLE}/{staged.added[0].path}"


@everywhere
def test_after_a_week_removed_and_lost_files_go_and_nothing_else(landing, later):
    uploads(landing, 2)
    stream(landing, 0, 60)
    lost = stray(landing)
    old = landing.snapshot().version
    stream(landing, 0, 66)
    later(7.1)
    for until in range(72, 126, 6):
        stream(landing, 0, until)
    live = {f"{TABLE}/{path}" for path in landing.snapshot()._live["path"]}
    data = {path for path in landing.store.list(TABLE) if path.endswith(".parquet")}
    data = {path for path in data if "_delta_log" not in path}
    assert live <= data
    assert lost not in data
    assert len(data) < 40
    with pytest.raises(LandingError, match="no version 2"):
        landing.snapshot(2)
    with pytest.raises(LandingError, match="no longer has the log"):
        landing.changes(2)
    begin = listed(landing.store, TABLE)[0][0]
    first = landing_vacuum.oldest_version(landing.store, TABLE, begin)
    assert first > 8
    assert old > 8
    for version in range(first, landing.snapshot().version + 1):
        assert landing.snapshot(version).version == version
    assert landed(landing) == expected(1, 120, 2)
    assert landing.sequence("acme", "acme0") == 1


def test_a_table_with_few_commits_loses_what_is_old_too(landing, later):
    """Its history never fills a segment."""
    uploads(landing, 2)
    removed = {f"{TABLE}/{path}" for path in landing.snapshot(2)._live["path"]}
    lost = stray(landing)
    stream(landing, 0, 3)
    later(8)
    stream(landing, 0, 15)
    files = set(landing.store.list(TABLE))
    assert lost not in files
    live = {f"{TABLE}/{path}" for path in landing.snapshot()._live["path"]}
    assert not (removed - live) & files
    assert live <= files
    assert landed(landing) == expected(1, 15, 2)


def test_the_days_of_a_large_table_take_turns(landing, later, monkeypatch):
    monkeypatch.setattr(landing_vacuum, "SMALL", 0)
    monkeypatch.setattr(landing_vacuum, "SWEPT_DAYS", 1)
    lost = stray(landing)
    stream(landing, 0, 24)
    later(9)
    stream(landing, 0, 60)
    assert lost not in landing.store.list(TABLE)
    assert landed(landing) == expected(1, 60, 0)


def test_a_file_without_a_time_in_its_name_stays(landing, later):
    stream(landing, 0, 24)
    path = f"{TABLE}/date=2025-01-01/tenant=acme/{'0' * 32}.parquet"
    landing.store.write(path, b"")
    later(30)
    stream(landing, 0, 48)
    assert path in landing.store.list(TABLE)


def test_a_table_from_before_upkeep_is_brought_in_order(landing):
    """Its log is long, its checkpoints are those of delta-rs, or there are none."""
    without_upkeep(landing, 90)
    DeltaTable(landing.uri, version=9).create_checkpoint()
    DeltaTable(landing.uri, version=19).create_checkpoint()
    stream(landing, 0, 150)
    assert listed(landing.store, TABLE)[0][0] > 40
    for version in range(landing.snapshot().version + 1):
        assert landing.snapshot(version).version == version
    assert landed(landing) == expected(1, 150, 0)


@pytest.mark.slow
def test_a_commit_under_a_version_that_has_left_the_log_harms_nothing(landing, monkeypatch):
    """Its writer was suspended before it wrote it; see `LandingTable._is_seen`."""
    states = recorded(landing, monkeypatch, lambda: stream(landing, 0, 60))
    changes = {version: landing.changes(version) for version in states}
    begin = listed(landing.store, TABLE)[0][0]
    real = landing.store.read(log_file(TABLE, begin))
    late = real.replace(b"2025-01-0", b"1999-01-0")
    assert late != real
    for version in (0, 3, begin - 1):
        landing.store.write(log_file(TABLE, version), late)
    stray = landing.snapshot().version

    def check() -> None:
        for version, then in states.items():
            assert state(landing.snapshot(version)) == then
        assert {v: landing.changes(v) for v in states if v < stray} == {
            version: found | landing.changes(stray)
            for version, found in changes.items()
            if version < stray
        }

    check()
    stream(landing, 0, 120)
    check()
    assert listed(landing.store, TABLE)[0][0] > begin
    assert landed(landing) == expected(1, 120, 0)


def test_young_commits_stay_in_the_log(landing, monkeypatch):
    monkeypatch.setattr(landing_log, "SETTLED_SECONDS", 3600)
    stream(landing, 0, 60)
    assert listed(landing.store, TABLE)[0][0] == 0
    monkeypatch.setattr(landing_log, "SETTLED_SECONDS", 0)
    stream(landing, 0, 75)
    assert listed(landing.store, TABLE)[0][0] > 0
    assert landed(landing) == expected(1, 75, 0)


@everywhere
def test_two_at_once_move_the_same_commits(landing, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(landing_upkeep, "_clear", lambda *_: None)
        stream(landing, 0, 60)
    latest = landing.snapshot().version
    write, delete = type(landing.store).write, type(landing.store).delete
    other = Landing(landing.store.root, "interactions")
    nested = []

    def interrupting(method):
        def call(self, path, *arguments, **more):
            # the other one comes in at the third operation of this one, and runs through
            if self is landing.store:
                nested.append(path)
                if len(nested) == 3:
                    shorten(other.store, TABLE, latest)
            return method(self, path, *arguments, **more)

        return call

    monkeypatch.setattr(type(landing.store), "write", interrupting(write))
    monkeypatch.setattr(type(landing.store), "delete", interrupting(delete))
    shorten(landing.store, TABLE, latest)
    for version in range(latest + 1):
        assert landing.snapshot(version).version == version
    assert landing.store.identity(log_file(TABLE, 0)) is None
    assert landed(landing) == expected(1, 60, 0)


@everywhere
def test_of_two_rounds_at_once_one_compacts(landing):
    without_upkeep(landing, 30)
    table = landing._open()
    bins = landing_upkeep.due(live_files(table))
    other = Landing(landing.store.root, "interactions")
    assert other.merge(other._open(), landing_upkeep.due(live_files(other._open())))
    assert not landing.merge(table, bins)
    assert landed(landing) == expected(1, 30, 0)
