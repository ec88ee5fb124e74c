"""Positives: the events that a model should learn to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from recsys_pipeline.transforms.sampling_config import SamplingConfig

# weakest to strongest
STRENGTH = ("view", "click", "like", "add_to_cart", "purchase")

_KEYS = ("date", "user_id", "item_id")
_COLUMNS = (*_KEYS, "timestamp", "interaction_type")


def positives(
    events: pl.LazyFrame, config: SamplingConfig, days: Collection[date] | None = None
) -> pl.LazyFrame:
    """Choose the positives of a tenant.

    At level `user_item_day` the events of a (user, item, day) that are of a positive type make
    one positive: the strongest of their types (view < click < like < add_to_cart < purchase) and
    the first of their times. At level `event` each of them is one.

    Args:
        events: The tenant's accepted events: columns date, user_id, item_id, timestamp and
            interaction_type; ids, or codes that sort as the ids do.
        config: Which types are positive, and the level.
        days: Days whose positives are wanted; None for all.

    Returns:
        Those columns, sorted by date, user_id, timestamp, item_id, interaction_type.
    """
    wanted = events if days is None else events.filter(pl.col("date").is_in(sorted(set(days))))
    kind = pl.col("interaction_type")
    own = wanted.filter(kind.is_in(list(config.positive_types))).select(_COLUMNS)
    if config.level == "user_item_day":
        strength = list(range(len(STRENGTH)))
        rank = kind.replace_strict(list(STRENGTH), strength, return_dtype=pl.Int8)
        own = (
            own.with_columns(rank.alias("rank"))
            .group_by(_KEYS)
            .agg(pl.col("timestamp").min(), pl.col("rank").max())
            .with_columns(
                pl.col("rank")
                .replace_strict(strength, list(STRENGTH), return_dtype=pl.String)
                .alias("interaction_type")
            )
            .select(_COLUMNS)
        )
    return own.sort("date", "user_id", "timestamp", "item_id", "interaction_type")
