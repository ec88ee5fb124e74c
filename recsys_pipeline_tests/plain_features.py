"""Features in plain Polars: a second implementation that tests and benchmarks compare with.

One pass serves every day: events are summed per (entity, day) and the sums are accumulated over
the entity's days. It reads all history, every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.schemas.features import RECENT_ITEMS, ItemFeatures, UserFeatures
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.features_common import (
    COUNTS,
    average_rating,
    end_of_day,
    ratio,
)


def user_features(events, days):
    """User features of every (tenant, user, day) with an event on the day; all days when None."""
    coded = code_events(events, "user_id", "item_id")
    totals = running_totals(coded.events)
    wanted = on_days(totals, days)
    owner = coded.entities[wanted["entity"]]
    whole_days = (pl.col("last_interaction") - pl.col("first_interaction")).dt.total_days()
    rows = (
        wanted.with_columns(
            owner["tenant"],
            owner["user_id"],
            _recent_items(coded.events, coded.others["item_id"], wanted),
            end_of_day().alias("as_of"),
            average_rating().alias("avg_rating"),
            (whole_days + 1).alias("days_active"),
            ratio("num_purchases", "num_views").alias("conversion_rate"),
            ratio("num_purchases", "num_cart_adds").alias("cart_conversion_rate"),
        )
        .with_columns(ratio("total_interactions", "days_active").alias("interactions_per_day"))
        .rename({"unique_others": "unique_items"})
    )
    schema = frame_schema(UserFeatures)
    return rows.select(schema.names()).cast(schema).lazy()


def item_features(events, days, event_weights):
    """Item features of every (tenant, item, day) with an event on the day; all days when None."""
    coded = code_events(events, "item_id", "user_id")
    wanted = on_days(running_totals(coded.events), days)
    owner = coded.entities[wanted["entity"]]
    weighted = reduce(add, (pl.col(name) * event_weights[word] for name, word in COUNTS.items()))
    total = pl.col("total_interactions")
    rows = wanted.with_columns(
        owner["tenant"],
        owner["item_id"],
        end_of_day().alias("as_of"),
        average_rating().alias("avg_rating"),
        total.log1p().alias("popularity_score"),
        (weighted / total).alias("engagement_score"),
        ratio("num_purchases", "num_views").alias("purchase_rate"),
        ratio("num_clicks", "num_views").alias("click_through_rate"),
    ).rename({"unique_others": "unique_users"})
    schema = frame_schema(ItemFeatures)
    return rows.select(schema.names()).cast(schema).lazy()


@dataclass(frozen=True)
class CodedEvents:
    """Events with integer codes in the place of ids.

    Attributes:
        events: Columns `entity` and `other` (UInt32 codes), `date`, `timestamp`,
            `interaction_type`, `rating_hundredths` (Int64, null without a rating).
        entities: Vocabulary of `entity`: the columns `tenant` and its id.
        others: Vocabulary of `other`.
    """

    events: pl.DataFrame
    entities: pl.DataFrame
    others: pl.DataFrame


def code_events(events: pl.LazyFrame, entity: str, other: str) -> CodedEvents:
    """Code the two id columns of accepted events (columns of `Interaction`)."""
    entities = vocabulary([events], entity)
    others = vocabulary([events], other)
    used = events.select(
        "tenant",
        entity,
        other,
        "date",
        "timestamp",
        "interaction_type",
        rating_hundredths=(pl.col("rating") * 100).round().cast(pl.Int64),
    )
    coded = with_code(with_code(used, entities, entity, "entity"), others, other, "other")
    return CodedEvents(coded.drop("tenant").collect(), entities, others)


def running_totals(coded: pl.DataFrame) -> pl.DataFrame:
    """Accumulate the events of each entity over its days.

    Args:
        coded: `CodedEvents.events`.

    Returns:
        One row per (entity, date) with an event, sorted by them: `total_interactions`,
        `unique_others`, `rating_count`, `rating_sum` (hundredths), `active_day_count` and the
        counts by type as Int64, `first_interaction` and `last_interaction`, all over the
        entity's events up to the end of the date.
    """
    kind = pl.col("interaction_type")
    daily = coded.group_by("entity", "date").agg(
        pl.len().cast(pl.Int64).alias("total_interactions"),
        pl.col("rating_hundredths").sum().alias("rating_sum"),
        pl.col("rating_hundredths").count().cast(pl.Int64).alias("rating_count"),
        pl.col("timestamp").min().alias("first_interaction"),
        pl.col("timestamp").max().alias("last_interaction"),
        *((kind == word).sum().cast(pl.Int64).alias(name) for name, word in COUNTS.items()),
    )
    first_met = (
        coded.group_by("entity", "other")
        .agg(pl.col("date").min())
        .group_by("entity", "date")
        .agg(pl.len().cast(pl.Int64).alias("unique_others"))
    )
    sums = (
        "active_day_count",
        "total_interactions",
        "unique_others",
        "rating_sum",
        "rating_count",
        *COUNTS,
    )
    return (
        daily.join(first_met, on=["entity", "date"], how="left")
        .with_columns(pl.lit(1, pl.Int64).alias("active_day_count"))
        .sort("entity", "date")
        .select(
            "entity",
            "date",
            *(pl.col(name).fill_null(0).cum_sum().over("entity") for name in sums),
            pl.col("first_interaction").cum_min().over("entity"),
            pl.col("last_interaction").cum_max().over("entity"),
        )
    )


def on_days(totals: pl.DataFrame, days) -> pl.DataFrame:
    """Keep the rows of some days (all when None), sorted by (date, entity)."""
    kept = totals if days is None else totals.filter(pl.col("date").is_in(sorted(set(days))))
    return kept.sort("date", "entity")


def _recent_items(coded: pl.DataFrame, item_ids: pl.Series, wanted: pl.DataFrame) -> pl.Series:
    """Return each wanted row's latest item ids, latest first, then by id.

    An event's type needs no place in the order: it can't change which ids come out.
    """
    ordered = coded.select("entity", "timestamp", "other").sort(
        "entity", "timestamp", "other", descending=[False, True, False]
    )
    # the user's events are laid latest first, so those up to a day are the tail of their range
    # and the tail's length is the day's running total
    entities = wanted["entity"].to_numpy()
    ends = np.searchsorted(ordered["entity"].to_numpy(), entities, side="right")
    totals = wanted["total_interactions"].to_numpy()
    lengths = np.minimum(totals, RECENT_ITEMS)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    index = np.arange(offsets[-1]) + np.repeat(ends - totals - offsets[:-1], lengths)
    ids = item_ids.gather(ordered["other"].gather(index))
    values = ids.to_arrow(compat_level=pl.CompatLevel.newest())
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), values)
    return pl.Series("recent_items", lists, dtype=pl.List(pl.String))


def vocabulary(frames, column) -> pl.DataFrame:
    """Return the distinct (tenant, id) pairs of the frames, sorted; a pair's row is its code.

    Args:
        frames: Frames with the String columns `tenant` and `column`.
        column: Name of the id column.
    """
    pairs = [frame.select("tenant", column).unique() for frame in frames]
    return pl.concat(pairs).unique().sort("tenant", column).collect()


def with_code(frame: pl.LazyFrame, words: pl.DataFrame, column: str, name: str) -> pl.LazyFrame:
    """Replace the id column by its code.

    Args:
        frame: Frame with `tenant` and `column`.
        words: Vocabulary of `column` that has all pairs of the frame.
        column: Name of the id column, dropped.
        name: Name of the new UInt32 column.

    Returns:
        The frame with the code; the order of its rows is not kept.
    """
    codes = words.lazy().with_row_index(name)
    return frame.join(codes, on=["tenant", column], how="inner").drop(column)
