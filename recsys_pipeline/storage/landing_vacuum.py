"""Deletion of the data files and commits that nobody can ask for any more.

What is deleted left the table more than `RETAINED` ago, or was never in it: runs that pinned a
version, and the sensor that asks what changed since one, have that long. A file of the latest
version is never deleted.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from recsys_pipeline.storage.delta_files import STAGED, live_files
from recsys_pipeline.storage.landing_log import (
    SEGMENT,
    WORKERS,
    committed_at,
    history_file,
    open_version,
    read_commit,
    segment_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from recsys_pipeline.storage.objects import ObjectStore

RETAINED = timedelta(days=7)
SMALL = 5_000  # commits within `RETAINED` plus live files, up to which a table is listed as a whole
SWEPT_DAYS = 4  # days listed per call in a table that is not small
SWEPT_FILES = 1_000  # files deleted per call
DATA_FILE = re.compile(r"date=[^/]+/tenant=(?P<tenant>[^/]+)/(?P<at>\d{13})-[0-9a-f]{32}\.parquet")


def expire(store: ObjectStore, table: str, live: set[str], begin: int) -> None:
    """Delete the oldest segment of the history, and the data files that its commits removed.

    Nothing is done while its last version was the latest within `RETAINED`: until the commit after it. A
    process that dies half-way leaves the segment's first commit, so that the next one does it again.

    Args:
        store: Store of the table.
        table: The table's folder.
        live: Paths of the latest version's data files.
        begin: The version at which the log begins.
    """
    start = oldest_version(store, table, begin)
    last = start + SEGMENT - 1
    if last >= begin:
        return
    at = _at(store, table, last + 1)
    if at is None or at >= _now() - _milliseconds(RETAINED):
        return
    names = list(store.list(f"{table}/{segment_folder(start)}"))
    marker = history_file(table, start)
    with ThreadPoolExecutor(WORKERS) as pool:
        commits = pool.map(store.read, [name for name in names if name.endswith(".json")])
        removed = {path for commit in commits for path in removed_by(commit or b"")}
    delete_all(store, [f"{table}/{path}" for path in removed - live])
    delete_all(store, [name for name in names if name != marker])
    store.delete(marker)


def oldest_version(store: ObjectStore, table: str, begin: int) -> int:
    """Return the first version of the oldest whole segment in the history, else of the log."""
    low, high = 0, begin // SEGMENT - 1
    if high < 0 or store.identity(history_file(table, high * SEGMENT)) is None:
        return begin
    while low < high:
        middle = (low + high) // 2
        if store.identity(history_file(table, middle * SEGMENT)) is None:
            low = middle + 1
        else:
            high = middle
    return low * SEGMENT


def sweep(
    store: ObjectStore, table: str, live: pl.DataFrame, *, versions: tuple[int, int], turn: int
) -> None:
    """Delete data files that no version within `RETAINED` has: of lost commits, and removed ones.

    A small table is listed as a whole. Of others a few days are, other ones at each call; not the
    latest, which have the more files the faster the stream, and `expire` deletes those.

    Args:
        store: Store of the table.
        table: The table's folder.
        live: The latest version's rows of `live_files`.
        versions: The version at which the log begins, and the latest.
        turn: Number of the call, which chooses the days.
    """
    begin, latest = versions
    oldest = oldest_version(store, table, begin)
    version = _aged(store, table, oldest, latest)
    if version is not None and version < begin:
        version -= version % SEGMENT  # it opens with one checkpoint, and no commit to read
    at = None if version is None else _at(store, table, version)
    if version is None or at is None:
        return
    before = at - _milliseconds(STAGED)
    then = live_files(open_version(store.uri(table), version))
    kept = {*live["path"], *then["path"]}
    if latest - version + len(kept) <= SMALL:
        folders = [table]
    else:
        until = datetime.fromtimestamp(before / 1_000, UTC).date()
        days = {*live["partition.date"].unique(), *then["partition.date"].unique()}
        folders = [f"{table}/date={day}" for day in _chosen(days, until, turn)]
    found = (path for folder in folders for path in store.list(folder))
    lost = [path for path in found if _is_lost(path.removeprefix(f"{table}/"), kept, before)]
    delete_all(store, lost[:SWEPT_FILES])


def _aged(store: ObjectStore, table: str, low: int, high: int) -> int | None:
    """Return the newest version of a range that was committed more than `RETAINED` ago."""
    until = _now() - _milliseconds(RETAINED)
    found = None
    while low <= high:
        middle = (low + high) // 2
        at = _at(store, table, middle)
        if at is not None and at < until:
            found, low = middle, middle + 1
        else:
            high = middle - 1
    return found


def _at(store: ObjectStore, table: str, version: int) -> int | None:
    return committed_at(read_commit(store, table, version) or b"")


def _chosen(landed: set[date], until: date, turn: int) -> list[date]:
    """Return a turn's days of those from the first landed to the last that is before `until`."""
    days = sorted(day for day in landed if day < until)
    count = (days[-1] - days[0]).days + 1 if days else 0
    numbers = range(turn * SWEPT_DAYS, turn * SWEPT_DAYS + min(count, SWEPT_DAYS))
    return [days[0] + timedelta(days=number % count) for number in numbers]


def _is_lost(path: str, kept: set[str], before: int) -> bool:
    name = DATA_FILE.fullmatch(path)
    return name is not None and int(name["at"]) < before and path not in kept


def removed_by(commit: bytes) -> Iterable[str]:
    """Return the paths that a commit removes from the table."""
    actions = (json.loads(line) for line in commit.splitlines())
    return [action["remove"]["path"] for action in actions if "remove" in action]


def delete_all(store: ObjectStore, paths: list[str]) -> None:
    """Delete objects, several at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(store.delete, path) for path in paths]:
            done.result()


def _milliseconds(time_span: timedelta) -> int:
    return int(time_span.total_seconds() * 1_000)


def _now() -> int:
    return time.time_ns() // 1_000_000
