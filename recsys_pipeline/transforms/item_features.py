"""Item features as of the end of each day on which the item had events."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.features import ItemFeatures
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.features_common import COUNTS, average_rating, end_of_day, ratio

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from recsys_pipeline.transforms.event_pass import EventPass


def item_features(
    events: EventPass,
    tenant: str,
    days: Collection[date] | None,
    event_weights: Mapping[str, int],
) -> pl.DataFrame:
    """Compute the features of every (item, day) of a pass with an event on the day.

    A row sees the item's events with `date` up to and including its own; later ones change
    nothing. Formulas are those of `ItemFeatures`; `avg_rating` is
    sum of hundredths / (100 x count), a single rounding.

    Args:
        events: The tenant's events, on the state of the days before.
        tenant: The tenant.
        days: Days whose rows are wanted; None for all.
        event_weights: Integer weight of each interaction type in `engagement_score`.

    Returns:
        Frame of `frame_schema(ItemFeatures)`, sorted by (date, item_id); the same for any order
        of the events, and however they are divided between state and pass.
    """
    totals = events.totals("item", days)
    rows = totals.frame().with_columns(
        pl.lit(tenant).alias("tenant"),
        events.items.ids.gather(totals.entity).alias("item_id"),
        end_of_day().alias("as_of"),
    )
    schema = frame_schema(ItemFeatures)
    found = with_item_formulas(rows, event_weights)
    return found.select(schema.names()).cast(schema)


def with_item_formulas(totals: pl.DataFrame, event_weights: Mapping[str, int]) -> pl.DataFrame:
    """Add the features that are computed from totals (columns as `totals_frame` names them)."""
    weighted = reduce(add, (pl.col(name) * event_weights[word] for name, word in COUNTS.items()))
    total = pl.col("total_interactions")
    return totals.rename({"unique_others": "unique_users"}).with_columns(
        average_rating().alias("avg_rating"),
        total.log1p().alias("popularity_score"),
        (weighted / total).alias("engagement_score"),
        ratio("num_purchases", "num_views").alias("purchase_rate"),
        ratio("num_clicks", "num_views").alias("click_through_rate"),
    )
