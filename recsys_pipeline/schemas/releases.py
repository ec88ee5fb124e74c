"""The columns of a release's shards: a training sample with integers in the place of its ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import SAMPLE_FEATURES, TrainingSample

if TYPE_CHECKING:
    from collections.abc import Collection

# vocabulary -> the column of training samples that it numbers
VOCABULARIES = {
    "users": "user_id",
    "items": "item_id",
    "categories": "item_category",
    "brands": "item_brand",
}
# vocabulary -> the column of its integers
INDEX_COLUMNS = {
    "users": "user_index",
    "items": "item_index",
    "categories": "category_index",
    "brands": "brand_index",
}
COLD_COLUMNS = {"users": "cold_user", "items": "cold_item"}
# what a release adds to the columns of training samples
ADDED = {
    **{
        column: (
            "Int64",
            f"Index of `{VOCABULARIES[name]}` in `vocabularies/{name}.parquet`; 0: null, 1: not in it.",
        )
        for name, column in INDEX_COLUMNS.items()
    },
    "cold_user": ("Boolean", "The user has no positive in train."),
    "cold_item": ("Boolean", "The item has no positive in train."),
    "variant": ("String", "The user's variant; with `--experiment`."),
    "sequence_items": (
        "List(Int64)",
        "Indices of the items of the user's last events before `timestamp`; with `--sequences`.",
    ),
    "sequence_types": (
        "List(UInt8)",
        "Types of those events, oldest first: 1 view, 2 click, 3 like, 4 add_to_cart, 5 purchase.",
    ),
}
SEQUENCE_COLUMNS = ("sequence_items", "sequence_types")

_OWN = (
    "user_id", "item_id", "label", "timestamp", "negative_source", "sampling_probability",
    "conditional_probability",
)  # fmt: skip


def indexed(columns: Collection[str]) -> dict[str, str]:
    """Return the vocabularies of which a release has the column, and that column."""
    return {name: column for name, column in VOCABULARIES.items() if column in columns}


def released_schema(
    features: Collection[str], *, has_variants: bool = False, has_sequences: bool = False
) -> dict[str, pl.DataType]:
    """Return the columns of a shard and their dtypes, in order.

    `date` and `tenant` are not among them: the day is that of `timestamp`, and the tenant is a level of
    the path.

    Args:
        features: The feature columns of the training samples.
        has_variants: Whether there is an experiment.
        has_sequences: Whether rows have sequences.
    """
    samples = frame_schema(TrainingSample)
    found: dict[str, pl.DataType] = {name: samples[name] for name in _OWN}
    found |= {INDEX_COLUMNS[name]: pl.Int64() for name in indexed({*_OWN, *features})}
    found |= dict.fromkeys(COLD_COLUMNS.values(), pl.Boolean())
    if has_variants:
        found["variant"] = pl.String()
    if has_sequences:
        found |= {"sequence_items": pl.List(pl.Int64()), "sequence_types": pl.List(pl.UInt8())}
    return found | {name: samples[name] for name in SAMPLE_FEATURES if name in features}


def never_null(name: str) -> bool:
    """Return whether a column of a shard has a value in every row."""
    whole = {*_OWN[:4], *INDEX_COLUMNS.values(), *COLD_COLUMNS.values(), "variant"}
    whole |= {*SEQUENCE_COLUMNS}
    return name in whole
