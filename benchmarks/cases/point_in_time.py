"""The user's features as of before each event's day, of half of all events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.cases.features import COLUMNS, warm
from benchmarks.data import FOLDER, events_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEATURES = ("user_total_interactions", "user_unique_items", "user_num_views", "user_num_purchases")


def _asked(millions: int) -> pl.DataFrame:
    """Return user and day of every second event."""
    return (
        pl.scan_parquet(events_file(millions)).select("user_id", "date").gather_every(2).collect()
    )


def _tables(millions: int) -> tuple[Path, Path]:
    """Write what a join gets: the daily features and the rows that ask."""
    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.state import State

    features, asked = FOLDER / f"daily-{millions}m.parquet", FOLDER / f"asked-{millions}m.parquet"
    if not asked.exists():
        one = EventPass(State.empty(), pl.read_parquet(events_file(millions), columns=COLUMNS))
        totals = one.totals("user")
        rows = totals.frame().select("entity", "date", "total_interactions", "unique_others",
                                     "num_views", "num_purchases")  # fmt: skip
        ids = one.users.ids.gather(rows["entity"])
        rows.with_columns(user_id=ids, as_of=pl.col("date").dt.offset_by("1d")).drop(
            "entity", "date"
        ).write_parquet(features)
        _asked(millions).write_parquet(asked)
    return features, asked


def ours(millions: int) -> Callable[[], object]:
    """Totals of the pass, found by binary search within a user."""
    from recsys_pipeline.transforms.candidates import KnownItems
    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.point_in_time import FeaturesBefore
    from recsys_pipeline.transforms.state import State
    from recsys_pipeline_tests.transforms.strategies import item_frame

    one = EventPass(State.empty(), pl.read_parquet(events_file(millions), columns=COLUMNS))
    items = KnownItems.of(one, item_frame([]).collect())
    rows = pl.DataFrame(
        {
            "user": one.users.codes[::2],
            "item": np.zeros(len(one.users.codes[::2]), np.int64),
            "date": pl.Series(one.days[::2].astype(np.int32)).cast(pl.Date),
        }
    )
    warm(EventPass, State)
    one.totals("user")
    return lambda: FeaturesBefore(one, items, FEATURES, {}).of(rows)


def polars_asof(millions: int) -> Callable[[], object]:
    """Polars' join_asof on sorted tables in memory."""
    features, asked = _tables(millions)
    left = pl.read_parquet(asked).sort("date")
    right = pl.read_parquet(features).sort("as_of")
    return lambda: left.join_asof(
        right, left_on="date", right_on="as_of", by="user_id", check_sortedness=False
    )


def duckdb(millions: int) -> Callable[[], object]:
    """DuckDB's ASOF JOIN on tables in memory."""
    import duckdb as engine

    features, asked = _tables(millions)
    connection = engine.connect(config={"threads": 2})
    connection.execute(f"CREATE TABLE features AS FROM '{features}'")
    connection.execute(f"CREATE TABLE asked AS FROM '{asked}'")
    query = (
        "CREATE TABLE joined AS SELECT a.*, f.* EXCLUDE (user_id, as_of) FROM asked a "
        "ASOF LEFT JOIN features f ON a.user_id = f.user_id AND a.date >= f.as_of"
    )
    return lambda: connection.execute(query)
