"""Training samples: positives, their negatives, and features as of before the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import NEGATIVE_SOURCES, SAMPLE_KEYS, TrainingSample
from recsys_pipeline.transforms.candidates import KnownItems
from recsys_pipeline.transforms.event_pass import EPOCH
from recsys_pipeline.transforms.negatives import negatives
from recsys_pipeline.transforms.point_in_time import FeaturesBefore
from recsys_pipeline.transforms.positives import positives

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.negatives import Negatives
    from recsys_pipeline.transforms.sampling_config import SamplingConfig


_ONE = np.uint64(1)


@dataclass(frozen=True)
class Samples:
    """Training samples of some users of a day, and what could not be drawn.

    Attributes:
        day: The day.
        rows: `SAMPLE_KEYS`, then the feature columns, as `TrainingSample` types them; sorted by
            (user_id, timestamp, label descending, item_id).
        shortfall: Negatives asked for less drawn.
    """

    day: date
    rows: pl.DataFrame
    shortfall: int


def training_samples(
    events: EventPass,
    tenant: str,
    item_versions: pl.DataFrame,
    days: Collection[date],
    config: SamplingConfig,
    feature_columns: Sequence[str],
    event_weights: Mapping[str, int],
) -> Iterator[Samples]:
    """Build the training samples of some days of a tenant, a part of a day at a time.

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

    Yields:
        Parts in the order of (day, user); none of a day without positives. A part has all samples of
        its users on the day.

    Raises:
        SettingsError: A feature column is not one of `SAMPLE_FEATURES`.
    """
    items = KnownItems.of(events, item_versions)
    features = FeaturesBefore(events, items, feature_columns, event_weights)
    schema = frame_schema(TrainingSample)
    chosen = positives(events, config, days)
    for drawn in negatives(chosen, events, items, tenant, config):
        labelled = _in_order(drawn, events, items)
        rows = labelled.with_columns(
            pl.lit(tenant).alias("tenant"),
            events.users.ids.gather(labelled["user"]).alias("user_id"),
            items.ids.gather(labelled["item"]).alias("item_id"),
        ).select(SAMPLE_KEYS)
        names = (*SAMPLE_KEYS, *feature_columns)
        rows = rows.hstack(features.of(labelled).get_columns())
        yield Samples(
            EPOCH + timedelta(days=drawn.day),
            rows.cast({name: schema[name] for name in names}),
            drawn.shortfall,
        )


def _in_order(drawn: Negatives, events: EventPass, items: KnownItems) -> pl.DataFrame:
    """Return positives and negatives, sorted by user, time, label (descending) and item.

    Returns:
        Columns `user`, `item` (codes), `date`, `timestamp`, `label`, `negative_source` and both
        probabilities.
    """
    user, time = events.users.codes[drawn.events], events.times[drawn.events]
    item = items.of_pass[events.items.codes[drawn.events]]
    # positives are in order: those that share user and time are one group, its negatives behind
    begins = (np.diff(user, prepend=-1) != 0) | (np.diff(time, prepend=time[:1]) != 0)
    group = np.cumsum(begins).astype(np.uint64)
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
    source = np.concatenate([np.arange(len(user)), drawn.positive])[order]
    number = np.where(order < len(user), -1, order - len(user))
    is_negative = pl.Series(number >= 0)
    of_negative = pl.Series(number).set(~is_negative, None)
    day = EPOCH + timedelta(days=drawn.day)
    sources = pl.Series(NEGATIVE_SOURCES, dtype=pl.String)
    return pl.DataFrame(
        {
            "user": user[source],
            "item": np.concatenate([item, drawn.item])[order],
            "date": pl.repeat(day, len(order), dtype=pl.Date, eager=True),
            "timestamp": pl.Series(time[source]).cast(pl.Datetime("us", "UTC")),
            "label": (~is_negative).cast(pl.Float64),
            "negative_source": sources.gather(pl.Series(drawn.source).gather(of_negative)),
            "sampling_probability": pl.Series(drawn.sampling_probability).gather(of_negative),
            "conditional_probability": pl.Series(drawn.conditional_probability).gather(of_negative),
        }
    )
