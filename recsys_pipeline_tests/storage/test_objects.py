"""The local store's listing and locks, leftovers of killed processes, and reads of many records."""

from __future__ import annotations

import os
import tempfile
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest

from recsys_pipeline.storage.local_store import LocalStore
from recsys_pipeline.storage.objects import Identity
from recsys_pipeline.storage.records import Pin, Record, Records
from recsys_pipeline.storage.s3_store import S3Store

DAYS = [date(2025, 1, 1) + timedelta(days=n) for n in range(40)]
HOUR = timedelta(hours=1)


def test_a_listing_has_every_file_by_its_path_below_the_root(tmp_path):
    store = LocalStore(str(tmp_path / "a root"))
    stamps = {}
    for path in ("t/a", "t/.hidden", "t/date=2025-01-01/tenant=acme/part-0.parquet", "other/b"):
        store.write(path, path.encode())
        stamps[path] = store.identity(path)
    (tmp_path / "a root" / "t" / "linked").symlink_to(tmp_path / "a root" / "other" / "b")
    (tmp_path / "a root" / "t" / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a root" / "t" / "folder").symlink_to(tmp_path / "a root" / "other")
    (tmp_path / "a root" / "t" / "empty").mkdir()
    found = store.list("t/")
    assert found.pop("t/linked") == stamps["other/b"]
    assert found == {path: stamp for path, stamp in stamps.items() if path.startswith("t/")}
    assert all(type(identity) is Identity for identity in found.values())
    assert store.list("none/") == {}
    assert store.list("t/a") == {}


def test_a_listing_goes_on_when_what_it_lists_is_removed(tmp_path, monkeypatch):
    """The file goes before its status is read, the folder before it is opened."""
    store = LocalStore(str(tmp_path))
    for day in range(3):
        store.write(f"t/date={day}/part-0.parquet", b"x")
        store.write(f"t/file-{day}", b"x")
    real = os.scandir
    opened = []

    class Removing:
        """Entries of a folder, with some of them gone by the time they are looked at."""

        def __init__(self, path):
            self._entries = real(path)

        def __enter__(self):
            return iter(self._remove())

        def __iter__(self):
            return iter(self._remove())

        def __exit__(self, *error):
            self._entries.close()

        def _remove(self):
            for entry in list(self._entries):
                if entry.name in ("file-1", "date=1"):
                    assert entry.is_file() or entry.is_dir()  # known from the listing itself
                    store.delete("t/date=1/part-0.parquet")
                    store.delete("t/file-1")
                yield entry

    def scandir(path):
        opened.append(str(path))
        return Removing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert set(store.list("t/")) == {
        "t/date=0/part-0.parquet",
        "t/date=2/part-0.parquet",
        "t/file-0",
        "t/file-2",
    }
    assert str(tmp_path / "t" / "date=1") in opened


def test_a_listing_goes_on_while_another_thread_adds_and_removes(tmp_path):
    store = LocalStore(str(tmp_path))
    store.write("t/date=kept/tenant=acme/part-0.parquet", b"x")
    over = threading.Event()

    def churn():
        while not over.is_set():
            paths = [f"t/date={day}/tenant=acme/part-0.parquet" for day in range(20)]
            for path in paths:
                store.write(path, b"x", durable=False)
            for path in paths:
                store.delete(path)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(200):
            assert "t/date=kept/tenant=acme/part-0.parquet" in store.list("t/")
    finally:
        over.set()
        thread.join()


def test_a_local_lock_stays_held(tmp_path):
    with LocalStore(str(tmp_path)).lock("name") as held:
        assert held.confirm() is None


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_sweep_removes_old_temporary_files_only(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    store = LocalStore(str(tmp_path / "root")) if kind == "local" else S3Store("s3://bucket/root")
    assert store.sweep(HOUR) == 0  # nothing was ever written
    old, new = store.temporary(), store.temporary()
    for path in (old, new):
        path.write_bytes(b"torn")
    os.utime(old, (0, 0))
    data = tmp_path / "root" / "table" / "part-0.parquet"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"x")
    os.utime(data, (0, 0))
    assert store.sweep(HOUR) == 1
    assert not old.exists()
    assert new.exists()
    assert data.exists()
    assert store.sweep(HOUR) == 0


def test_a_sweep_leaves_a_file_that_its_process_moves_meanwhile(tmp_path, monkeypatch):
    store = LocalStore(str(tmp_path))
    old = store.temporary()
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    real = Path.iterdir

    def iterdir(self):
        found = list(real(self))
        if old.exists():
            store.put_file(old, "table/part-0.parquet")
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert store.sweep(HOUR) == 0
    assert store.read("table/part-0.parquet") == b"x"


class Waiting(LocalStore):
    """Answers a read once 16 reads are waiting for theirs."""

    def __init__(self, root):
        super().__init__(root)
        self.together = threading.Barrier(16)

    def read(self, path):
        self.together.wait(20)
        return super().read(path)


def test_many_reads_sixteen_records_at_once(tmp_path):
    record = Record("in", Pin(1, 2), 0, None, "", "in", "2025-03-01T00:00:00+00:00")
    days = DAYS[:32]
    for day in days[1:]:
        Records(LocalStore(str(tmp_path))).write("table", day, {"acme": record, "beta": record})
    records = Records(Waiting(str(tmp_path)))
    found = records.many("table", days)
    assert list(found) == days
    assert found == {days[0]: None} | {day: {"acme": record, "beta": record} for day in days[1:]}
    assert records.days("table", days) == {
        (day, tenant): record for day in days[1:] for tenant in ("acme", "beta")
    }


def test_many_of_no_days_is_empty(tmp_path):
    assert Records(LocalStore(str(tmp_path))).many("table", []) == {}


def test_many_passes_on_the_error_of_a_read(tmp_path, monkeypatch):
    def read(self, path):
        raise PermissionError(path)

    monkeypatch.setattr(LocalStore, "read", read)
    with pytest.raises(PermissionError):
        Records(LocalStore(str(tmp_path))).many("table", DAYS)


def test_a_file_is_put_though_its_folder_is_removed_meanwhile(tmp_path, monkeypatch):
    """Another process deletes the last file of the folder, and the folder, before the rename."""
    store = LocalStore(str(tmp_path / "root"))
    make, raced = Path.mkdir, []

    def mkdir(self, *arguments, **options):
        make(self, *arguments, **options)
        if self.name == "tenant=acme" and not raced:
            raced.append(self)
            self.rmdir()

    monkeypatch.setattr(Path, "mkdir", mkdir)
    store.write("date=2025-01-01/tenant=acme/a", b"rows")
    assert raced
    assert store.read("date=2025-01-01/tenant=acme/a") == b"rows"


def test_a_file_that_is_gone_is_no_folder_that_is_gone(tmp_path):
    store = LocalStore(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        store.put_file(tmp_path / "none", "a")
