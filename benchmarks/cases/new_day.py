"""One more day of events, a hundredth of the history: its rows of both feature tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from benchmarks.cases.features import COLUMNS, _out, warm
from benchmarks.cases.history import last_day
from benchmarks.cases.history import new_day as ours
from benchmarks.data import events_file
from recsys_pipeline.transforms.event_pass import EventPass
from recsys_pipeline.transforms.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["from_scratch", "ours"]


def from_scratch(millions: int) -> Callable[[], object]:
    """The same kernels over all events in one pass."""
    out, path = _out(), events_file(millions)

    def work() -> None:
        last_day(EventPass(State.empty(), pl.read_parquet(path, columns=COLUMNS)), out)

    warm(EventPass, State)
    return work
