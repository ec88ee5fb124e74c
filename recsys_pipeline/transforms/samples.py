"""Training samples: positives, their negatives, and features as of before the day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import SAMPLE_KEYS, TrainingSample
from recsys_pipeline.transforms.negatives import negatives
from recsys_pipeline.transforms.point_in_time import attach_features
from recsys_pipeline.transforms.positives import positives

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date

    from recsys_pipeline.transforms.sampling_config import SamplingConfig


@dataclass(frozen=True)
class Samples:
    """Training samples and what could not be drawn.

    Attributes:
        rows: `SAMPLE_KEYS`, then the feature columns, as `TrainingSample` types them; sorted by
            (date, tenant, user_id, timestamp, label descending, item_id).
        shortfall: Columns tenant, date, shortfall (Int64): negatives asked for less drawn, one
            row per (tenant, date) with positives, zeros included; sorted by (date, tenant).
    """

    rows: pl.DataFrame
    shortfall: pl.DataFrame


def training_samples(  # the inputs of the asset, all needed
    events: pl.LazyFrame,
    item_versions: pl.LazyFrame,
    user_features: pl.LazyFrame,
    item_features: pl.LazyFrame,
    days: Collection[date],
    config: Mapping[str, SamplingConfig],
    feature_columns: Sequence[str],
) -> Samples:
    """Build the training samples of some days.

    Rows of later days in any input change nothing.

    Args:
        events: Accepted events (columns of `Interaction`) from the start date up to the last of
            the days.
        item_versions: Valid item versions (columns of `Item`) up to the last of the days.
        user_features: Columns of `UserFeatures`, all rows before the last of the days.
        item_features: Columns of `ItemFeatures`, all rows before the last of the days.
        days: UTC days wanted.
        config: Settings per tenant; a tenant without an entry gets no samples.
        feature_columns: Names out of `SAMPLE_FEATURES`, in the order wanted.

    Raises:
        SettingsError: A feature column is not one of `SAMPLE_FEATURES`.
    """
    schema = frame_schema(TrainingSample)
    chosen = positives(events, config, days).collect()
    drawn = negatives(chosen, events, item_versions, config)
    keys = {name: schema[name] for name in SAMPLE_KEYS}
    labelled = pl.concat(
        [
            chosen.drop("interaction_type").with_columns(label=pl.lit(1.0)),
            drawn.rows.with_columns(label=pl.lit(0.0)),
        ],
        how="diagonal",
    )
    ordered = (
        labelled.select(SAMPLE_KEYS)
        .cast(dict(keys))
        .sort(
            "date",
            "tenant",
            "user_id",
            "timestamp",
            "label",
            "item_id",
            descending=[False, False, False, False, True, False],
        )
    )
    rows = attach_features(
        ordered.lazy(), user_features, item_features, item_versions, feature_columns
    )
    return Samples(rows.collect(), drawn.shortfall)
