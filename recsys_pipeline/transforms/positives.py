"""Positives: the events that a model should learn to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.transforms.features_common import COUNTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.sampling_config import SamplingConfig


def positives(
    events: EventPass, config: SamplingConfig, days: Collection[date] | None = None
) -> pl.DataFrame:
    """Choose the positives of a tenant.

    At level `user_item_day` the events of a (user, item, day) that are of a positive type make
    one positive, with the first of their times. At level `event` each of them is one.

    Args:
        events: The tenant's events.
        config: Which types are positive, and the level.
        days: Days whose positives are wanted; None for all.

    Returns:
        Columns date, user_id and item_id (codes of the pass, which sort as the ids do) and
        timestamp, sorted by date, user_id, timestamp, item_id.
    """
    from recsys_pipeline.kernels.positives import positive_events

    is_positive = np.array([word in config.positive_types for word in COUNTS.values()])
    low, wanted = events.wanted(days)
    chosen = positive_events(
        *events.by_user,
        events.items.codes,
        len(events.items.ids),
        events.days - low,
        is_positive[events.types],
        wanted,
        config.level == "user_item_day",
    )
    return pl.DataFrame(
        {
            "date": pl.Series(events.days[chosen].astype(np.int32)).cast(pl.Date),
            "user_id": events.users.codes[chosen],
            "item_id": events.items.codes[chosen],
            "timestamp": pl.Series(events.times[chosen]).cast(pl.Datetime("us", "UTC")),
        }
    )
