"""Training samples: positives, their negatives, and features as of before the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import SAMPLE_KEYS, TrainingSample
from recsys_pipeline.transforms.candidates import KnownItems
from recsys_pipeline.transforms.event_pass import EPOCH
from recsys_pipeline.transforms.negatives import negatives
from recsys_pipeline.transforms.point_in_time import features_before
from recsys_pipeline.transforms.positives import positives

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date

    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.negatives import Negatives
    from recsys_pipeline.transforms.sampling_config import SamplingConfig


_ONE = np.uint64(1)


@dataclass(frozen=True)
class Samples:
    """Training samples and what could not be drawn.

    Attributes:
        rows: `SAMPLE_KEYS`, then the feature columns, as `TrainingSample` types them; sorted by
            (date, user_id, timestamp, label descending, item_id).
        shortfall: Negatives asked for less drawn, by day with positives, zeros included.
    """

    rows: pl.DataFrame
    shortfall: dict[date, int]


def training_samples(
    events: EventPass,
    tenant: str,
    item_versions: pl.DataFrame,
    days: Collection[date],
    config: SamplingConfig,
    feature_columns: Sequence[str],
    event_weights: Mapping[str, int],
) -> Samples:
    """Build the training samples of some days of a tenant.

    Rows of later days in any input change nothing.

    Args:
        events: The tenant's accepted events of at least these days, on the state of the days
            before them.
        tenant: The tenant.
        item_versions: Its valid item versions (columns of `Item`) up to the last of the days.
        days: UTC days wanted, all in the pass.
        config: How positives are chosen and negatives drawn.
        feature_columns: Names out of `SAMPLE_FEATURES`, in the order wanted.
        event_weights: Integer weight of each interaction type in `engagement_score`.

    Raises:
        SettingsError: A feature column is not one of `SAMPLE_FEATURES`.
    """
    items = KnownItems.of(events, item_versions)
    chosen = positives(events, config, days)
    drawn = negatives(chosen, events, items, tenant, config)
    labelled = _in_order(chosen, drawn, items, config)
    features = features_before(labelled, events, items, feature_columns, event_weights)
    schema = frame_schema(TrainingSample)
    rows = labelled.with_columns(
        pl.lit(tenant).alias("tenant"),
        events.users.ids.gather(labelled["user"]).alias("user_id"),
        items.ids.gather(labelled["item"]).alias("item_id"),
    ).select(SAMPLE_KEYS)
    names = (*SAMPLE_KEYS, *feature_columns)
    return Samples(
        rows.hstack(features.get_columns()).cast({name: schema[name] for name in names}),
        {EPOCH + timedelta(days=day): short for day, short in drawn.shortfall.items()},
    )


def _in_order(
    chosen: pl.DataFrame, drawn: Negatives, items: KnownItems, config: SamplingConfig
) -> pl.DataFrame:
    """Return positives and negatives, sorted by date, user, time, label (descending) and item.

    Returns:
        Columns `user`, `item` (codes), `date`, `timestamp`, `label`, `negative_source` and both
        probabilities.
    """
    item = items.of_pass[chosen["item_id"].to_numpy()]
    # positives are in order: those that share user and time are one group, its negatives behind
    moment = chosen.select(pl.struct("date", "user_id", "timestamp").rle_id()).to_series()
    group = moment.to_numpy().astype(np.uint64)
    bits = np.uint64(max(len(items.ids) - 1, 1).bit_length())
    keys = np.concatenate(
        [
            (group << (bits + _ONE)) | item.astype(np.uint64),
            (group[drawn.positive] << (bits + _ONE))
            | (_ONE << bits)
            | drawn.item.astype(np.uint64),
        ]
    )
    order = np.argsort(keys)
    source = np.concatenate([np.arange(chosen.height), drawn.positive])[order]
    number = np.where(order < chosen.height, -1, order - chosen.height)
    is_negative = pl.Series(number >= 0)
    of_negative = pl.Series(number).set(~is_negative, None)
    rows = chosen.select(pl.col("user_id").alias("user"), "date", "timestamp")
    return rows.select(pl.all().gather(source)).with_columns(
        pl.Series("item", np.concatenate([item, drawn.item])[order]),
        (~is_negative).cast(pl.Float64).alias("label"),
        pl.when(is_negative).then(pl.lit(config.strategy)).alias("negative_source"),
        pl.Series(drawn.sampling_probability).gather(of_negative).alias("sampling_probability"),
        pl.Series(drawn.conditional_probability)
        .gather(of_negative)
        .alias("conditional_probability"),
    )
