"""User and item features as of the end of 90 days: Parquet in, both tables as Parquet out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.data import FOLDER, LAST, coded_file, events_file
from recsys_pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = Settings(_env_file=None).event_weights
TYPES = ("view", "click", "like", "add_to_cart", "purchase")
COLUMNS = ["date", "user_id", "item_id", "interaction_type", "timestamp", "rating"]


def _out() -> Path:
    return Path(tempfile.mkdtemp(dir=FOLDER))


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="zstd", compression_level=1)


def ours(millions: int) -> Callable[[], object]:
    """One pass of the kernels over all events."""
    from recsys_pipeline.transforms.event_pass import EventPass, totals_frame
    from recsys_pipeline.transforms.item_features import with_item_formulas
    from recsys_pipeline.transforms.state import State
    from recsys_pipeline.transforms.user_features import with_user_formulas

    path, out = events_file(millions), _out()

    def work() -> None:
        one = EventPass(State.empty(), pl.read_parquet(path, columns=COLUMNS))
        of_users, of_items = one.last_totals()
        items = totals_frame(of_items).with_columns(item_id=one.items.ids)
        _write(with_item_formulas(items, WEIGHTS), out / "items.parquet")
        offsets, codes = one.recent_items(np.arange(len(one.users.ids)), one.by_user[0][1:])
        ids = one.item_ids(codes).to_arrow(compat_level=pl.CompatLevel.newest())
        recent = pa.LargeListArray.from_arrays(pa.array(offsets), ids)
        users = totals_frame(of_users).with_columns(
            pl.Series("recent_items", recent, dtype=pl.List(pl.String)), user_id=one.users.ids
        )
        _write(with_user_formulas(users), out / "users.parquet")

    warm(EventPass, State)
    return work


def warm(event_pass: type, state: type) -> None:
    """Load the compiled kernels: a process does it once, in about a second."""
    from recsys_pipeline.transforms.merge import Merge

    first = pl.read_parquet(events_file(1), columns=COLUMNS, n_rows=100)
    one = event_pass(state.empty(), first)
    one.recent_items(np.arange(len(one.users.ids)), one.by_user[0][1:])
    Merge(one).state()


def polars_plain(millions: int) -> Callable[[], object]:
    """The plain Polars version, which is the tests' oracle; it makes the rows of the last day."""
    from recsys_pipeline_tests import plain_features

    path, out = events_file(millions), _out()

    def work() -> None:
        events = pl.scan_parquet(path).with_columns(pl.lit("acme").alias("tenant"))
        _write(plain_features.user_features(events, [LAST]).collect(), out / "users.parquet")
        items = plain_features.item_features(events, [LAST], WEIGHTS).collect()
        _write(items, out / "items.parquet")

    return work


def polars_naive(millions: int) -> Callable[[], object]:
    """Two group-bys, as one would write them."""
    path, out = events_file(millions), _out()

    def work() -> None:
        events = pl.scan_parquet(path)
        kind, rating = pl.col("interaction_type"), pl.col("rating")
        common = [
            pl.len().alias("total"),
            rating.mean().alias("avg_rating"),
            rating.count().alias("rating_count"),
            pl.col("timestamp").min().alias("first"),
            pl.col("timestamp").max().alias("last"),
            *((kind == word).sum().alias(word) for word in TYPES),
        ]
        newest = pl.col("item_id").sort_by("timestamp", descending=True).head(50)
        users = events.group_by("user_id").agg(
            *common, pl.col("item_id").n_unique().alias("unique"),
            pl.col("date").n_unique().alias("days"), newest.alias("recent_items"),
        )  # fmt: skip
        users.collect().write_parquet(out / "users.parquet", compression_level=1)
        items = events.group_by("item_id").agg(
            *common, pl.col("user_id").n_unique().alias("unique")
        )
        items.collect().write_parquet(out / "items.parquet", compression_level=1)

    return work


def duckdb(millions: int) -> Callable[[], object]:
    """The same in SQL."""
    import duckdb as engine

    path, out = events_file(millions), _out()
    counts = ", ".join(f"count(*) FILTER (interaction_type = '{t}') AS {t}" for t in TYPES)
    common = (
        "count(*) AS total, avg(rating) AS avg_rating, count(rating) AS rating_count, "
        f"min(timestamp) AS first, max(timestamp) AS last, {counts}"
    )
    target = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"

    def work() -> None:
        connection = engine.connect(config={"threads": 2})
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"COPY (SELECT user_id, {common}, count(DISTINCT item_id) AS uniq, "
            "count(DISTINCT date) AS days, max_by(item_id, timestamp, 50) AS recent_items "
            f"FROM '{path}' GROUP BY user_id) TO '{out}/users.parquet' {target}"
        )
        connection.execute(
            f"COPY (SELECT item_id, {common}, count(DISTINCT user_id) AS uniq "
            f"FROM '{path}' GROUP BY item_id) TO '{out}/items.parquet' {target}"
        )

    return work


def pandas(millions: int) -> Callable[[], object]:
    """Two group-bys in pandas, without the recent items."""
    import pandas as pd

    path, out = events_file(millions), _out()

    def work() -> None:
        events = pd.read_parquet(path)
        flags = pd.get_dummies(events["interaction_type"])
        events = pd.concat([events, flags], axis=1)
        for entity, other in (("user_id", "item_id"), ("item_id", "user_id")):
            table = events.groupby(entity).agg(
                total=("timestamp", "size"),
                avg_rating=("rating", "mean"),
                rating_count=("rating", "count"),
                first=("timestamp", "min"),
                last=("timestamp", "max"),
                uniq=(other, "nunique"),
                **{kind: (kind, "sum") for kind in flags.columns},
            )
            table.to_parquet(out / f"{entity}.parquet", compression="zstd")

    return work


def floor(millions: int) -> Callable[[], object]:
    """Read integer codes and count by user: what nothing can beat."""
    path = coded_file(millions)

    def work() -> None:
        pl.read_parquet(path).group_by("user").len()

    return work
