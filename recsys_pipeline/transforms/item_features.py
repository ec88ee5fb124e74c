"""Item features as of the end of each day on which the item had events."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.features import ItemFeatures
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.features_common import (
    COUNTS,
    average_rating,
    code_events,
    end_of_day,
    on_days,
    ratio,
    running_totals,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date


def item_features(
    events: pl.LazyFrame, days: Collection[date] | None, event_weights: Mapping[str, int]
) -> pl.LazyFrame:
    """Compute item features for every (tenant, item, day) with an event on the day.

    A row sees the item's events with `date` up to and including its own; later events in the
    input change nothing. Formulas are those of `ItemFeatures`; `avg_rating` is
    sum of hundredths / (100 x count), a single rounding.

    Args:
        events: Accepted events (columns of `Interaction`) from the start date on.
        days: Days whose rows are wanted; None for all.
        event_weights: Integer weight of each interaction type in `engagement_score`.

    Returns:
        Frame of `frame_schema(ItemFeatures)`, sorted by (date, tenant, item_id); the same for
        any order of the input rows.
    """
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
