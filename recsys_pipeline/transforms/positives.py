"""Positives: the events that a model should learn to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.rules import frame_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from recsys_pipeline.transforms.sampling_config import SamplingConfig

# weakest to strongest
STRENGTH = ("view", "click", "like", "add_to_cart", "purchase")

_KEYS = ("tenant", "date", "user_id", "item_id")
_COLUMNS = (*_KEYS, "timestamp", "interaction_type")


def positives(
    events: pl.LazyFrame,
    config: Mapping[str, SamplingConfig],
    days: Collection[date] | None = None,
) -> pl.LazyFrame:
    """Choose the positives of each tenant.

    At level `user_item_day` the events of a (tenant, user, item, day) that are of a positive
    type make one positive: the strongest of their types (view < click < like < add_to_cart <
    purchase) and the first of their times. At level `event` each of them is one.

    Args:
        events: Accepted events (columns of `Interaction`).
        config: Settings per tenant; a tenant without an entry has no positives.
        days: Days whose positives are wanted; None for all.

    Returns:
        Columns tenant, date, user_id, item_id, timestamp, interaction_type, sorted by all of
        them but the last in the order tenant, date, user_id, timestamp, item_id.
    """
    schema = frame_schema(Interaction)
    wanted = events if days is None else events.filter(pl.col("date").is_in(sorted(set(days))))
    rank = pl.col("interaction_type").replace_strict(
        list(STRENGTH), list(range(len(STRENGTH))), return_dtype=pl.Int8
    )
    parts = [pl.LazyFrame(schema={name: schema[name] for name in _COLUMNS})]
    for tenant, chosen in sorted(config.items()):
        own = wanted.filter(
            pl.col("tenant") == tenant,
            pl.col("interaction_type").is_in(list(chosen.positive_types)),
        ).select(_COLUMNS)
        if chosen.level == "user_item_day":
            own = (
                own.with_columns(rank.alias("rank"))
                .group_by(_KEYS)
                .agg(pl.col("timestamp").min(), pl.col("rank").max())
                .with_columns(
                    pl.col("rank")
                    .replace_strict(
                        list(range(len(STRENGTH))), list(STRENGTH), return_dtype=pl.String
                    )
                    .alias("interaction_type")
                )
                .select(_COLUMNS)
            )
        parts.append(own)
    return pl.concat(parts).sort(
        "tenant", "date", "user_id", "timestamp", "item_id", "interaction_type"
    )
