"""Locks on S3 are leases: taken by one, lost by who holds too long. Records are read at once."""

from __future__ import annotations

import threading
import time
from datetime import date, timedelta

import pytest

from recsys_pipeline.errors import StorageError
from recsys_pipeline.storage import s3_store
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.records import Pin, Record, Records
from recsys_pipeline.storage.s3_store import S3Store

pytestmark = pytest.mark.usefixtures("s3_bucket")

RUN_OUT = 2.5  # seconds; S3 tells whole seconds


@pytest.fixture
def s3_root(s3_bucket, tmp_path):
    return f"{s3_bucket}/{tmp_path.name}"


@pytest.fixture
def short_lease(monkeypatch):
    """Leases of one second."""
    monkeypatch.setattr(s3_store, "LEASE_SECONDS", 1)


def _slots(root) -> list[str]:
    return list(open_store(root).list("_meta/locks/"))


@pytest.mark.usefixtures("short_lease")
def test_a_lease_taken_over_and_released_does_not_fail_its_first_holder(s3_root):
    first, second = open_store(s3_root), open_store(s3_root)
    with first.lock("name"):
        time.sleep(RUN_OUT)
        with second.lock("name"):
            pass


@pytest.mark.usefixtures("short_lease")
def test_a_holder_whose_lease_was_taken_over_is_told_so(s3_root):
    with open_store(s3_root).lock("name") as first:
        time.sleep(RUN_OUT)
        with open_store(s3_root).lock("name") as second:
            with pytest.raises(StorageError, match="lease was lost"):
                first.confirm()
            second.confirm()
        with pytest.raises(StorageError, match="lease was lost"):
            first.confirm()


@pytest.mark.usefixtures("short_lease")
def test_a_first_holder_does_not_release_the_lease_of_the_second(s3_root, monkeypatch):
    first, second = open_store(s3_root).lock("name"), open_store(s3_root).lock("name")
    first.__enter__()
    time.sleep(RUN_OUT)
    with second as held:
        monkeypatch.setattr(s3_store, "LEASE_SECONDS", 300)
        first.__exit__(None, None, None)
        monkeypatch.setattr(s3_store, "LOCK_PATIENCE_SECONDS", 0.2)
        with pytest.raises(StorageError, match="held by another process"):
            open_store(s3_root).lock("name").__enter__()
        held.confirm()


class Slow:
    """A file system whose first request after the look at a lease waits for the other's."""

    def __init__(self, fs, barrier):
        self._fs = fs
        self._barrier = barrier
        self._waited = False

    def __getattr__(self, name):
        real = getattr(self._fs, name)
        if name in ("split_path", "info"):
            return real

        def call(*args, **kwargs):
            looks = name == "pipe_file" or args[0] == "head_object"
            if not looks and not self._waited:
                self._waited = True
                if self._barrier.wait(20):
                    time.sleep(0.3)  # the other has the lease by now
            return real(*args, **kwargs)

        return call


@pytest.mark.slow
def test_two_waiters_on_a_lease_that_ran_out_do_not_both_get_it(s3_root, monkeypatch):
    """Both have seen the old lease before either asks for it."""
    killed = open_store(s3_root).lock("name")
    killed.__enter__()  # never released
    assert len(_slots(s3_root)) == 1
    both_have_seen = threading.Barrier(2)
    taken, refused = [], []

    def wait_for_it():
        store = S3Store(s3_root)
        store.__dict__["_fs"] = Slow(store._fs, both_have_seen)
        try:
            lock = store.lock("name")
            lock.__enter__()
        except StorageError:
            refused.append(1)
        else:
            taken.append(lock)

    monkeypatch.setattr(s3_store, "LEASE_SECONDS", 3)
    monkeypatch.setattr(s3_store, "LOCK_PATIENCE_SECONDS", 1)
    time.sleep(4.5)
    threads = [threading.Thread(target=wait_for_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(taken), len(refused)) == (1, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("short_lease")
def test_confirming_renews_a_lease(s3_root, monkeypatch):
    monkeypatch.setattr(s3_store, "LOCK_PATIENCE_SECONDS", 0)
    monkeypatch.setattr(s3_store, "LEASE_SECONDS", 3)
    with open_store(s3_root).lock("name") as held:
        for _ in range(3):
            time.sleep(1.2)
            held.confirm()
        with pytest.raises(StorageError, match="held by another process"):
            open_store(s3_root).lock("name").__enter__()


def test_many_holders_follow_one_another_without_waiting_for_leases_to_run_out(s3_root):
    inside, most, done = [], [], []

    def hold(number):
        for _ in range(4):
            with open_store(s3_root).lock("name") as held:
                inside.append(number)
                held.confirm()
                most.append(len(inside))
                inside.remove(number)
            done.append(number)

    threads = [threading.Thread(target=hold, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 16
    assert max(most) == 1


def test_a_missing_bucket_is_an_error_and_no_held_lock(s3_bucket):
    with pytest.raises(FileNotFoundError, match="bucket"):
        open_store("s3://no-such-bucket/root").lock("name").__enter__()


def test_records_of_many_days_are_read_at_once(s3_root, monkeypatch):
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(24)]
    records = Records(open_store(s3_root))
    record = Record("in", Pin(1, 2), 0, None, "", "in", "2025-03-01T00:00:00+00:00")
    for day in days[:-1]:
        records.write("table", day, {"acme": record})
    reading, most = [], []
    real = S3Store.read

    def read(self, path):
        reading.append(path)
        most.append(len(reading))
        time.sleep(0.05)
        found = real(self, path)
        reading.remove(path)
        return found

    monkeypatch.setattr(S3Store, "read", read)
    found = records.many("table", days)
    assert list(found) == days
    assert found == {day: {"acme": record} for day in days[:-1]} | {days[-1]: None}
    assert max(most) > 8
