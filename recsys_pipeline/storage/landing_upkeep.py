"""What keeps commits fast under a stream: done after a commit, by the process that made it.

Nothing is remembered. What is due follows from the numbers of the versions that a commit has added,
so that of many writers the one that reaches a number does the work of it. Each step may be done
twice or die half-way: a checkpoint is a copy of what the log says, a compaction is a commit, the log
is copied before it is removed, and what is deleted is asked for by no version that is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.storage.delta_files import compactable, live_files, small, streamed
from recsys_pipeline.storage.landing_log import checkpoint, latest_version, shorten
from recsys_pipeline.storage.landing_snapshot import TABLES
from recsys_pipeline.storage.landing_vacuum import expire, sweep

if TYPE_CHECKING:
    from recsys_pipeline.storage.landing import Landing

CHECKPOINT = 20  # versions between two checkpoints: what an open reads one by one
ROUND = 200  # versions between two rounds of compaction, removal of logs and vacuum
# fewest files of uploads that are merged: content() must read what has rows of several batches
UPLOADED = 8
MERGED_FILES = 20_000  # files merged per round: a hundred per commit
MERGED_BYTES = 64 * 2**20  # and their size


def upkeep(landing: Landing, version: int) -> None:
    """Do what is due after a commit.

    Args:
        landing: The table.
        version: The version on which the commit was made; it is not the latest any more.
    """
    table = TABLES[landing.kind]
    latest = latest_version(landing.store, table, version + 1)
    # one version before the others, so that the checkpoint that follows has the merged files
    if _passed(version + 1, latest + 1, ROUND):
        _compact(landing)
    if number := _passed(version, latest, CHECKPOINT):
        checkpoint(landing.store, landing.uri, table, number)
    if _passed(version, latest, ROUND):
        _clear(landing, latest, latest // ROUND)


def clean(landing: Landing, turn: int) -> None:
    """Do all of the upkeep at once, whatever is due: for tables that few commits reach.

    Args:
        landing: The table.
        turn: Number of the call; it chooses the days of a large table that are looked through.
    """
    from deltalake import DeltaTable

    table = TABLES[landing.kind]
    if landing.snapshot().version < 0:
        return
    landing.compact()
    latest = DeltaTable(landing.uri).version()
    checkpoint(landing.store, landing.uri, table, latest)
    _clear(landing, latest, turn)


def due(files: pl.DataFrame) -> list[pl.DataFrame]:
    """Choose the files that a round merges, as bins of one (date, tenant) each.

    A file is merged with the smaller ones beside it once they have as many rows as it has. So what
    it is merged into has twice its rows: a row is written again as often as its file doubles, and
    the files that stay are each larger than all the smaller ones together, which makes them few.

    Args:
        files: Rows of `live_files`.

    Returns:
        Bins of `compactable`, the smallest first, within `MERGED_FILES` and `MERGED_BYTES`, or one.
    """
    keys = ["partition.date", "partition.tenant", "streamed"]
    rows = pl.col("rows")
    ranked = (
        files.filter(small())
        .with_columns(streamed=streamed(), rows=pl.col("num_records").fill_null(1))
        .sort(*keys, "rows", "path")
        .with_columns(rank=pl.int_range(pl.len()).over(keys), sum=rows.cum_sum().over(keys))
    )
    joins = rows <= pl.col("sum") - rows  # the sum is that of the smaller ones and its own
    last = pl.when(joins).then("rank").max().over(keys)
    least = pl.when(pl.col("streamed").is_null()).then(UPLOADED).otherwise(2)
    merged = ranked.filter(pl.col("rank") <= last).filter(pl.len().over(keys) >= least)
    return _bounded(compactable(merged))


def _bounded(bins: list[pl.DataFrame]) -> list[pl.DataFrame]:
    chosen: list[pl.DataFrame] = []
    files = size = 0
    for one in sorted(bins, key=lambda one: int(one["size_bytes"].sum())):
        files += one.height
        size += int(one["size_bytes"].sum())
        if chosen and (files > MERGED_FILES or size > MERGED_BYTES):
            break
        chosen.append(one)
    return chosen


def _passed(version: int, latest: int, step: int) -> int:
    """Return the last multiple of a step that is after a version, up to the latest; 0 for none."""
    last = latest // step * step
    return last if last > version else 0


def _compact(landing: Landing) -> None:
    from deltalake import DeltaTable

    table = DeltaTable(landing.uri)
    bins = due(live_files(table))
    if bins:
        landing.merge(table, bins)  # a lost race is no harm: the next round merges them


def _clear(landing: Landing, latest: int, turn: int) -> None:
    from deltalake import DeltaTable

    table = TABLES[landing.kind]
    begin = shorten(landing.store, table, latest)
    opened = DeltaTable(landing.uri)
    live = live_files(opened)
    expire(landing.store, table, set(live["path"]), begin)
    sweep(landing.store, table, live, versions=(begin, opened.version()), turn=turn)
