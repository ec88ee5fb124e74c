"""Running totals per entity and day: what user and item features have in common.

One pass serves every day: events are summed per (entity, day) and the sums are accumulated over
the entity's days. Everything summed is an integer; divisions come last, so the row order, the
chunking and the thread count can't change a bit of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from recsys_pipeline.schemas.keys import UTC_TIME
from recsys_pipeline.transforms.coding import vocabulary, with_code

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

IdColumn = Literal["user_id", "item_id"]

COUNTS = {
    "num_views": "view",
    "num_clicks": "click",
    "num_likes": "like",
    "num_cart_adds": "add_to_cart",
    "num_purchases": "purchase",
}


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


def code_events(events: pl.LazyFrame, entity: IdColumn, other: IdColumn) -> CodedEvents:
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


def on_days(totals: pl.DataFrame, days: Collection[date] | None) -> pl.DataFrame:
    """Keep the rows of some days (all when None), sorted by (date, entity)."""
    kept = totals if days is None else totals.filter(pl.col("date").is_in(sorted(set(days))))
    return kept.sort("date", "entity")


def end_of_day() -> pl.Expr:
    """Return `as_of`: 00:00 UTC of the day after `date`."""
    next_day = pl.col("date").dt.offset_by("1d")
    return next_day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(UTC_TIME)


def ratio(numerator: str, denominator: str) -> pl.Expr:
    """Divide two integer columns; null where the denominator is 0."""
    below = pl.col(denominator)
    return pl.when(below > 0).then(pl.col(numerator) / below)


def average_rating() -> pl.Expr:
    """Return sum of hundredths / (100 x count): one rounding; null without ratings."""
    count = pl.col("rating_count")
    return pl.when(count > 0).then(pl.col("rating_sum") / (count * 100))
