"""User features as of the end of each day on which the user was active."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from recsys_pipeline.schemas.features import RECENT_ITEMS, UserFeatures
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.features_common import (
    average_rating,
    code_events,
    end_of_day,
    on_days,
    ratio,
    running_totals,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date


def user_features(events: pl.LazyFrame, days: Collection[date] | None) -> pl.LazyFrame:
    """Compute user features for every (tenant, user, day) with an event on the day.

    A row sees the user's events with `date` up to and including its own; later events in the
    input change nothing. Formulas are those of `UserFeatures`; `avg_rating` is
    sum of hundredths / (100 x count), a single rounding.

    Args:
        events: Accepted events (columns of `Interaction`) from the start date on.
        days: Days whose rows are wanted; None for all.

    Returns:
        Frame of `frame_schema(UserFeatures)`, sorted by (date, tenant, user_id); the same for
        any order of the input rows.
    """
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
