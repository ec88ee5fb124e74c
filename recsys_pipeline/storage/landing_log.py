"""The log of a landing table: short where Delta reads it, and a history beside it.

Every open and every commit lists `_delta_log`, so it keeps the latest commits only. Older ones are
in `_history/<n>/_delta_log`, `SEGMENT` versions a folder, with the checkpoint that the first of them
builds on. Such a folder is a Delta log by itself. Its paths are relative to the landing table.

Whatever is moved is written to the history before it leaves the log. A process that dies between
the two leaves it in both, and a later one moves it again. What the history has is never replaced: a
writer that was suspended may put a commit into the log under a version that has left it. Nothing
reads that one, and its writer lands it again.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltalake import DeltaTable

    from recsys_pipeline.storage.objects import ObjectStore

KEPT = 200  # latest commits in `_delta_log`: far more than an open or a commit looks back
# age from which a commit is moved: a writer that took a third of it looks whether its commit stands
SETTLED_SECONDS = 15
SEGMENT = 1_000  # versions per folder of the history; names are made of it, so it must not change
MOVED = 1_000  # commits moved per call
WORKERS = 8  # requests at once: each is mostly waiting on S3
_CHUNK = 64
_NAME = re.compile(r".*/_delta_log/(\d{20})\.(json|checkpoint\.parquet)")


def log_file(table: str, version: int, kind: str = "json") -> str:
    """Return the path of a commit, or of a `checkpoint.parquet`, where Delta reads it."""
    return f"{table}/_delta_log/{version:020d}.{kind}"


def segment_folder(version: int) -> str:
    """Return the folder of the history, below the table's, that holds a version."""
    return f"_history/{version // SEGMENT:012d}"


def history_file(table: str, version: int) -> str:
    """Return the path of a commit in the history."""
    return log_file(f"{table}/{segment_folder(version)}", version)


def read_commit(store: ObjectStore, table: str, version: int) -> bytes | None:
    """Read a version's commit from the history or the log; None where it is in neither."""
    history = history_file(table, version)
    # the history last too, as the commit may move between the first two
    for path in (history, log_file(table, version), history):
        found = store.read(path)
        if found is not None:
            return found
    return None


def commits(store: ObjectStore, table: str, first: int, last: int) -> Iterator[bytes | None]:
    """Read the commits of a range of versions, in order; None where one is no longer there."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(first, last + 1, _CHUNK):
            versions = range(start, min(start + _CHUNK, last + 1))
            yield from pool.map(lambda v: read_commit(store, table, v), versions)


def committed_at(commit: bytes) -> int | None:
    """Return when a commit was made, in milliseconds since 1970; None where it doesn't say."""
    for line in commit.splitlines():
        info = json.loads(line).get("commitInfo")
        if info:
            return int(info["timestamp"])
    return None


def latest_version(store: ObjectStore, table: str, known: int) -> int:
    """Return the latest version, or the one that is 64 versions after a known one."""
    last = known
    while last < known + _CHUNK and store.identity(log_file(table, last + 1)) is not None:
        last += 1
    return last


def is_moved(store: ObjectStore, table: str, version: int) -> bool:
    """Say whether a version's commit has left the log for the history, or is gone from both."""
    if store.identity(log_file(table, version)) is not None:
        return False
    if store.identity(history_file(table, version)) is not None:
        return True
    return any(found > version for found in listed(store, table)[0])


def open_version(uri: str, version: int) -> DeltaTable:
    """Open a version of a table, from the history where the log no longer has it.

    Raises:
        DeltaError: There is no such version, or no longer.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable(uri, version=version)
    except DeltaError as error:
        try:
            return DeltaTable(f"{uri}/{segment_folder(version)}", version=version)
        except DeltaError:
            raise error from None


def transaction_version(uri: str, table: DeltaTable, app_id: str) -> int | None:
    """Return what a table's version says of an app id, None when nothing.

    A table reads its log again for that, and by now the log may have moved.

    Raises:
        DeltaError: The version is gone from the history too.
    """
    from deltalake.exceptions import DeltaError

    try:
        return table.transaction_version(app_id)
    except DeltaError:
        return open_version(uri, table.version()).transaction_version(app_id)


def checkpoint(store: ObjectStore, uri: str, table: str, version: int) -> None:
    """Write the checkpoint of a version, unless it is there.

    Raises:
        DeltaError: There is no such version in the log.
    """
    from deltalake import DeltaTable

    if store.identity(log_file(table, version, "checkpoint.parquet")) is None:
        DeltaTable(uri, version=version).create_checkpoint()


def listed(store: ObjectStore, table: str) -> tuple[list[int], list[int]]:
    """Return the versions of the commits and of the checkpoints in the log, in order."""
    found: dict[str, list[int]] = {"json": [], "checkpoint.parquet": []}
    for path in store.list(f"{table}/_delta_log"):
        name = _NAME.fullmatch(path)
        if name:
            found[name[2]].append(int(name[1]))
    return sorted(found["json"]), sorted(found["checkpoint.parquet"])


def shorten(store: ObjectStore, table: str, latest: int) -> int:
    """Move old commits to the history, at most about `MOVED` of them.

    The latest `KEPT` stay, and those younger than `SETTLED_SECONDS`. The log then begins at a checkpoint, so that it opens at each version that it still has.

    Args:
        store: Store of the table.
        table: The table's folder.
        latest: A version that is committed.

    Returns:
        The version at which the log begins.
    """
    jsons, checkpoints = listed(store, table)
    oldest = min([*jsons[:1], *checkpoints[:1]])
    cuts = [version for version in checkpoints if oldest < version <= latest - KEPT]
    cuts = [version for version in cuts if version <= oldest + MOVED] or cuts[:1]
    while cuts and not _is_settled(store, table, cuts[-1]):
        cuts.pop()
    if not cuts:
        return oldest
    cut = cuts[-1]
    moved = [version for version in jsons if version < cut]
    copies = [(log_file(table, version), history_file(table, version)) for version in moved]
    for start in range(oldest + -oldest % SEGMENT, cut, SEGMENT):
        copies += _base(table, start, oldest, checkpoints) if start else []
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(_copy, store, *paths) for paths in copies]:
            done.result()
    # one after the other, the oldest first: a log with a hole would open no version
    names = [(version, "json") for version in moved]
    names += [(version, "checkpoint.parquet") for version in checkpoints if version < cut]
    for name in sorted(names):
        store.delete(log_file(table, *name))
    return cut


def _base(table: str, start: int, oldest: int, checkpoints: list[int]) -> list[tuple[str, str]]:
    """Return what a segment needs from before its first version, as (path, path in the history).

    That is the checkpoint of that version; or, where its writer died, the one before and the commits
    between the two; or, before the first checkpoint, every commit.
    """
    before = [version for version in checkpoints if version <= start]
    if not before and oldest:
        return []  # moved by a process that died before it had removed them all
    base = before[-1] if before else -1
    paths = [(version, "json") for version in range(base + 1, start)]
    paths += [(base, "checkpoint.parquet")] if before else []
    folder = f"{table}/{segment_folder(start)}"
    return [(log_file(table, *path), log_file(folder, *path)) for path in paths]


def _is_settled(store: ObjectStore, table: str, version: int) -> bool:
    at = committed_at(store.read(log_file(table, version)) or b"")
    return at is not None and at <= (time.time() - SETTLED_SECONDS) * 1_000


def _copy(store: ObjectStore, source: str, target: str) -> None:
    # read first: what is read while there is no target is what the log has always had. A target
    # looked for before could be written, and its source deleted and replaced, in the meantime
    data = store.read(source)
    if data is not None and store.identity(target) is None:  # else another process has moved it
        store.write(target, data)
