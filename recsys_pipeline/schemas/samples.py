"""Contract of `training_samples`: positives of a day, their negatives, and features before it.

The first three columns alone are a valid training file. The feature columns are those of
`UserFeatures` and `ItemFeatures` (scalars only) under the prefixes `user_` and `item_`, and the
item's category, brand and price; the setting `sample_features` may leave some out.
"""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from recsys_pipeline.schemas.features import (
    ITEM_FEATURE_NAMES,
    USER_FEATURE_NAMES,
    ItemFeatures,
    UserFeatures,
)
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.keys import (
    UtcTime,
    date_field,
    id_field,
    tenant_field,
    time_field,
)

NEGATIVE_SOURCES = ("uniform", "popularity", "category", "viewed")
CATALOGUE_FEATURES = ("category", "brand", "price")
PROBABILITY = {"min_value": 0, "max_value": 1}


class SampleKeys(pa.DataFrameModel):
    """The columns of a training sample before its features."""

    user_id: pl.String = id_field("User.")
    item_id: pl.String = id_field("Item: the positive's, or the sampled negative's.")
    label: pl.Float64 = pa.Field(isin=[0.0, 1.0], description="1.0 positive, 0.0 negative.")
    date: pl.Date = date_field("UTC day of the positive; a hive level.")
    tenant: pl.String = tenant_field()
    timestamp: UtcTime = time_field("Time of the positive; a negative takes its positive's.")
    negative_source: pl.String = pa.Field(
        isin=list(NEGATIVE_SOURCES),
        nullable=True,
        description="Source that drew the negative; null on positives.",
    )
    sampling_probability: pl.Float64 = pa.Field(
        in_range=PROBABILITY,
        nullable=True,
        description="Probability of the item in one draw of the strategy, before exclusion.",
    )
    conditional_probability: pl.Float64 = pa.Field(
        in_range=PROBABILITY,
        nullable=True,
        description="Probability of the item in one draw given that the user's items are excluded.",
    )


def _feature(column: pa.Column, name: str, description: str) -> pa.Column:
    return pa.Column(
        column.dtype,
        checks=list(column.checks),
        nullable=True,  # an entity without history has no features
        required=False,
        name=name,
        description=description,
    )


def _sample_schema() -> pa.DataFrameSchema:
    columns: dict[str, pa.Column] = dict(SampleKeys.to_schema().columns)
    for prefix, model, names, when in (
        ("user", UserFeatures, USER_FEATURE_NAMES, "before the day"),
        ("item", ItemFeatures, ITEM_FEATURE_NAMES, "before the day"),
        ("item", Item, CATALOGUE_FEATURES, "as of the start of the day"),
    ):
        for name in names:
            if name == "recent_items":
                continue  # 50 ids a row make a file 100 times larger; sequences carry them
            column = model.to_schema().columns[name]
            key = f"{prefix}_{name}"
            columns[key] = _feature(column, key, f"{column.description} ({prefix}, {when})")
    return pa.DataFrameSchema(
        columns, strict=True, name="TrainingSample", description="A training sample."
    )


class TrainingSample(SampleKeys):
    """A training sample with its point-in-time features."""

    @classmethod
    def to_schema(cls) -> pa.DataFrameSchema:
        """Return the schema of the keys and of every feature column."""
        return _SCHEMA


_SCHEMA = _sample_schema()

SAMPLE_KEYS = tuple(SampleKeys.to_schema().columns)
SAMPLE_FEATURES = tuple(c for c in _SCHEMA.columns if c not in SAMPLE_KEYS)
