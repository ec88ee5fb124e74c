"""A history in passes of bounded size, as the pipeline takes it: its state is on disk in buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.cases.features import COLUMNS, WEIGHTS, _out, _write, warm
from benchmarks.data import FOLDER, LAST, events_file
from recsys_pipeline.engines.state_files import keep_state, kept_state, merged_state
from recsys_pipeline.settings import Settings
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.transforms.event_pass import EventPass, totals_frame
from recsys_pipeline.transforms.item_features import item_features, with_item_formulas
from recsys_pipeline.transforms.merge import Merge
from recsys_pipeline.transforms.state import State, Users
from recsys_pipeline.transforms.user_features import user_features, with_user_formulas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date
    from pathlib import Path

SETTINGS = Settings(_env_file=None)


def chunks(path: Path) -> Iterator[tuple[date, date]]:
    """Yield first and last days, before the last of all, of as many events as a range takes at once."""
    events = pl.scan_parquet(path)
    counts = events.filter(pl.col("date") < LAST).group_by("date").len().sort("date").collect()
    group = ((counts["len"].cum_sum() - 1) // SETTINGS.chunk_rows).alias("group")
    for _, days in counts.with_columns(group).group_by("group", maintain_order=True):
        yield days["date"][0], days["date"][-1]


def state_before(path: Path) -> State:
    """Return the state of the day before the last."""
    store, state = open_store(str(FOLDER)), State.empty()
    days = pl.scan_parquet(path).select(COLUMNS)
    for first, last in chunks(path):
        events = days.filter(pl.col("date").is_between(first, last))
        merge = Merge(EventPass(state, events.collect()))
        state = merged_state(merge, store, SETTINGS.state_bucket_mib * 2**20)
        del merge  # holds the pass, which is not wanted beside the next one
    return state


def features(millions: int) -> Callable[[], object]:
    """Features of all users and items, a bucket at a time, one file each; the last day is left out."""
    path, out = events_file(millions), _out()

    def work() -> None:
        state = state_before(path)
        ids = pl.Series(state.items.ids, dtype=pl.String)
        items = totals_frame(state.items.totals).with_columns(item_id=ids)
        _write(with_item_formulas(items, WEIGHTS), out / "items.parquet")
        for number, users in enumerate(state.buckets):
            _write(_user_rows(users, ids), out / f"users-{number}.parquet")

    warm(EventPass, State)
    return work


def _user_rows(users: Users, ids: pl.Series) -> pl.DataFrame:
    recent = pa.LargeListArray.from_arrays(
        pa.array(users.recent_offsets),
        ids.gather(users.recent).to_arrow(compat_level=pl.CompatLevel.newest()),
    )
    rows = totals_frame(np.asarray(users.entities.totals)).with_columns(
        pl.Series("recent_items", recent, dtype=pl.List(pl.String)),
        user_id=pl.Series(users.entities.ids, dtype=pl.String),
    )
    return with_user_formulas(rows)


def new_day(millions: int) -> Callable[[], object]:
    """The last day's rows of both feature tables: the kept state of the day before, and its events."""
    store, kept = open_store(str(FOLDER)), f"state-{millions}m.arrow"
    path, out = events_file(millions), _out()
    if store.identity(kept) is None:
        keep_state(store, kept, state_before(path))
    day = out / "day.parquet"
    events = pl.scan_parquet(path).filter(pl.col("date") == LAST).select(COLUMNS)
    events.sink_parquet(day)

    def work() -> None:
        state = kept_state(store, kept)
        assert state is not None  # noqa: S101
        last_day(EventPass(state, pl.read_parquet(day)), out)

    warm(EventPass, State)
    return work


def last_day(one: EventPass, out: Path) -> None:
    """Write both tables of the last day."""
    _write(user_features(one, "acme", [LAST]), out / "users.parquet")
    _write(item_features(one, "acme", [LAST], WEIGHTS), out / "items.parquet")
