"""Attempts to break publication on S3: leases that run out, and the number of requests."""

from __future__ import annotations

import threading
import time

import pytest

from recsys_pipeline.storage import objects
from recsys_pipeline.storage.objects import S3Store, open_store
from recsys_pipeline_tests.landed import all_days, event, land, run_days, settings_for, view_of

pytestmark = pytest.mark.usefixtures("s3_bucket")


@pytest.fixture
def s3_root(s3_bucket, tmp_path):
    return f"{s3_bucket}/{tmp_path.name}"


def test_a_lease_taken_over_and_released_does_not_fail_its_first_holder(s3_root, monkeypatch):
    monkeypatch.setattr(objects, "LEASE_SECONDS", 1)
    first, second = open_store(s3_root), open_store(s3_root)
    with first.lock("name"):
        time.sleep(2.5)
        with second.lock("name"):
            pass


def test_two_waiters_on_a_lease_that_ran_out_do_not_both_get_it(s3_root, monkeypatch):
    monkeypatch.setattr(objects, "LEASE_SECONDS", 1)
    dead, one, two = (S3Store(s3_root) for _ in range(3))
    path = dead.uri("_meta/locks/x")
    assert dead._take(path, b"dead")
    time.sleep(2.5)
    removed, go = threading.Event(), threading.Event()
    fs = two._fs
    real = fs.rm_file

    class Slow:
        def __getattr__(self, name):
            return getattr(fs, name)

        def rm_file(self, name):
            removed.set()
            go.wait(10)
            real(name)

    two.__dict__["_fs"] = Slow()
    thread = threading.Thread(target=lambda: two._take(path, b"two"))
    thread.start()  # has seen the old lease, and is about to remove it
    removed.wait(10)
    one._take(path, b"one")
    assert one._take(path, b"one")  # holds it now
    go.set()
    thread.join()
    assert not two._take(path, b"two")


def test_a_run_of_one_day_does_not_read_every_record(s3_root, monkeypatch):
    days = 30
    land(s3_root, [event(day=n, kind="click") for n in range(days)], "a")
    config = settings_for(s3_root)
    run_days(config, all_days(days))
    reads = []
    real = S3Store.read
    monkeypatch.setattr(S3Store, "read", lambda self, path: reads.append(path) or real(self, path))
    run_days(config, all_days(days)[-1:])
    assert view_of(config)
    records = [path for path in reads if "_meta/published" in path]
    assert len(records) < 3 * days
