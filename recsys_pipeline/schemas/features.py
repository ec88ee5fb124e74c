"""Contracts of `user_features` and `item_features`.

One row per entity active on the day: its features over all accepted events from the start date
up to `as_of`, the end of the day. The formulas stand here once; the transforms follow them.
"""

from __future__ import annotations

from typing import Annotated

import pandera.polars as pa
import polars as pl

from recsys_pipeline.schemas.keys import (
    UtcTime,
    count_field,
    date_field,
    id_field,
    ratio_field,
    tenant_field,
    time_field,
)

RECENT_ITEMS = 50
RATING_RANGE = {"min_value": 0, "max_value": 5}


class UserFeatures(pa.DataFrameModel):
    """Features of a user as of the end of a day on which the user was active."""

    date: pl.Date = date_field("UTC day on which the user was active; a hive level.")
    tenant: pl.String = tenant_field()
    user_id: pl.String = id_field("User.")
    as_of: UtcTime = time_field("End of the day, exclusive: 00:00 UTC of the next day.")
    total_interactions: pl.Int64 = pa.Field(ge=1, description="Number of events.")
    unique_items: pl.Int64 = pa.Field(ge=1, description="Number of distinct items.")
    avg_rating: pl.Float64 = pa.Field(
        in_range=RATING_RANGE,
        nullable=True,
        description="Sum of ratings / `rating_count`; null without ratings.",
    )
    rating_count: pl.Int64 = count_field("Number of events with a rating.")
    first_interaction: UtcTime = time_field("Time of the first event.")
    last_interaction: UtcTime = time_field("Time of the latest event.")
    days_active: pl.Int64 = pa.Field(
        ge=1, description="Whole days between first and latest event + 1."
    )
    active_day_count: pl.Int64 = pa.Field(
        ge=1, description="Number of distinct UTC days with an event."
    )
    interactions_per_day: pl.Float64 = pa.Field(
        ge=0, description="`total_interactions` / `days_active`."
    )
    num_views: pl.Int64 = count_field("Number of `view` events.")
    num_clicks: pl.Int64 = count_field("Number of `click` events.")
    num_likes: pl.Int64 = count_field("Number of `like` events.")
    num_cart_adds: pl.Int64 = count_field("Number of `add_to_cart` events.")
    num_purchases: pl.Int64 = count_field("Number of `purchase` events.")
    conversion_rate: pl.Float64 = ratio_field("`num_purchases` / `num_views`; null without views.")
    cart_conversion_rate: pl.Float64 = ratio_field(
        "`num_purchases` / `num_cart_adds`; null without cart adds."
    )
    recent_items: Annotated[pl.List, pl.String()] = pa.Field(
        description=(
            f"Item ids of the {RECENT_ITEMS} latest events, repeats kept, ordered by time "
            "(latest first), then item id, then type."
        )
    )

    class Config:
        """Exactly these columns, in this order."""

        strict = True
        ordered = True


class ItemFeatures(pa.DataFrameModel):
    """Features of an item as of the end of a day on which it had events."""

    date: pl.Date = date_field("UTC day on which the item had events; a hive level.")
    tenant: pl.String = tenant_field()
    item_id: pl.String = id_field("Item.")
    as_of: UtcTime = time_field("End of the day, exclusive: 00:00 UTC of the next day.")
    total_interactions: pl.Int64 = pa.Field(ge=1, description="Number of events.")
    unique_users: pl.Int64 = pa.Field(ge=1, description="Number of distinct users.")
    avg_rating: pl.Float64 = pa.Field(
        in_range=RATING_RANGE,
        nullable=True,
        description="Sum of ratings / `rating_count`; null without ratings.",
    )
    rating_count: pl.Int64 = count_field("Number of events with a rating.")
    first_interaction: UtcTime = time_field("Time of the first event.")
    last_interaction: UtcTime = time_field("Time of the latest event.")
    popularity_score: pl.Float64 = pa.Field(ge=0, description="log(1 + `total_interactions`).")
    engagement_score: pl.Float64 = pa.Field(
        ge=0,
        description="Mean weight of the events; weights are the setting `event_weights`.",
    )
    num_views: pl.Int64 = count_field("Number of `view` events.")
    num_clicks: pl.Int64 = count_field("Number of `click` events.")
    num_likes: pl.Int64 = count_field("Number of `like` events.")
    num_cart_adds: pl.Int64 = count_field("Number of `add_to_cart` events.")
    num_purchases: pl.Int64 = count_field("Number of `purchase` events.")
    purchase_rate: pl.Float64 = ratio_field("`num_purchases` / `num_views`; null without views.")
    click_through_rate: pl.Float64 = ratio_field("`num_clicks` / `num_views`; null without views.")

    class Config:
        """Exactly these columns, in this order."""

        strict = True
        ordered = True


FEATURE_KEYS = ("date", "tenant", "user_id", "item_id", "as_of")
USER_FEATURE_NAMES = tuple(c for c in UserFeatures.to_schema().columns if c not in FEATURE_KEYS)
ITEM_FEATURE_NAMES = tuple(c for c in ItemFeatures.to_schema().columns if c not in FEATURE_KEYS)
