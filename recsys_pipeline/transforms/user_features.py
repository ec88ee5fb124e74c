"""User features as of the end of each day on which the user was active."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from recsys_pipeline.schemas.features import UserFeatures
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.features_common import average_rating, end_of_day, ratio

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from recsys_pipeline.transforms.event_pass import EventPass


def user_features(events: EventPass, tenant: str, days: Collection[date] | None) -> pl.DataFrame:
    """Compute the features of every (user, day) of a pass with an event on the day.

    A row sees the user's events with `date` up to and including its own; later ones change
    nothing. Formulas are those of `UserFeatures`; `avg_rating` is
    sum of hundredths / (100 x count), a single rounding.

    Args:
        events: The tenant's events, on the state of the days before.
        tenant: The tenant.
        days: Days whose rows are wanted; None for all.

    Returns:
        Frame of `frame_schema(UserFeatures)`, sorted by (date, user_id); the same for any order
        of the events, and however they are divided between state and pass.
    """
    totals = events.totals("user", days)
    offsets, items = events.recent_items(totals.entity, events.behind(totals))
    ids = events.item_ids(items).to_arrow(compat_level=pl.CompatLevel.newest())
    recent = pa.LargeListArray.from_arrays(pa.array(offsets), ids)
    rows = totals.frame().with_columns(
        pl.lit(tenant).alias("tenant"),
        pl.Series("recent_items", recent, dtype=pl.List(pl.String)),
        events.users.ids.gather(totals.entity).alias("user_id"),
        end_of_day().alias("as_of"),
    )
    schema = frame_schema(UserFeatures)
    return with_user_formulas(rows).select(schema.names()).cast(schema)


def with_user_formulas(totals: pl.DataFrame) -> pl.DataFrame:
    """Add the features that are computed from totals (columns as `totals_frame` names them)."""
    whole_days = (pl.col("last_interaction") - pl.col("first_interaction")).dt.total_days()
    return (
        totals.rename({"unique_others": "unique_items"})
        .with_columns(
            average_rating().alias("avg_rating"),
            (whole_days + 1).alias("days_active"),
            ratio("num_purchases", "num_views").alias("conversion_rate"),
            ratio("num_purchases", "num_cart_adds").alias("cart_conversion_rate"),
        )
        .with_columns(ratio("total_interactions", "days_active").alias("interactions_per_day"))
    )
