"""One more day of events, a hundredth of the history: its rows of both feature tables."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.cases.features import COLUMNS, WEIGHTS, _out, _write, warm
from benchmarks.data import FOLDER, LAST, events_file
from recsys_pipeline.storage.array_files import read_arrays, write_arrays
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.transforms.event_pass import EventPass
from recsys_pipeline.transforms.item_features import item_features
from recsys_pipeline.transforms.state import State
from recsys_pipeline.transforms.user_features import user_features

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _state(millions: int) -> str:
    """Keep the state of the day before the last; return its path in the store."""
    store, path = open_store(str(FOLDER)), f"state-{millions}m.arrow"
    if store.identity(path) is None:
        state = State.empty()
        before = pl.scan_parquet(events_file(millions)).select(COLUMNS)
        for week in range(13):
            first = LAST - timedelta(days=89 - 7 * week)
            days = pl.col("date").is_between(first, first + timedelta(days=6))
            events = before.filter(days, pl.col("date") < LAST).collect()
            if events.height:
                state = EventPass(state, events).merged()
        write_arrays(store, path, state.arrays())
    return path


def _features(one: EventPass, out: Path) -> None:
    _write(user_features(one, "acme", [LAST]), out / "users.parquet")
    _write(item_features(one, "acme", [LAST], WEIGHTS), out / "items.parquet")


def ours(millions: int) -> Callable[[], object]:
    """The state of the day before, mapped from its file, and the day's events."""
    path, out, store = _state(millions), _out(), open_store(str(FOLDER))
    events = pl.scan_parquet(events_file(millions)).filter(pl.col("date") == LAST)
    day = out / "day.parquet"
    events.select(COLUMNS).sink_parquet(day)

    def work() -> None:
        arrays = read_arrays(store, path)
        assert arrays is not None  # noqa: S101
        _features(EventPass(State.of_arrays(arrays), pl.read_parquet(day)), out)

    warm(EventPass, State)
    return work


def from_scratch(millions: int) -> Callable[[], object]:
    """The same kernels over all events."""
    out, path = _out(), events_file(millions)

    def work() -> None:
        _features(EventPass(State.empty(), pl.read_parquet(path, columns=COLUMNS)), out)

    warm(EventPass, State)
    return work
