"""The catalogue as of a day: the latest version of each item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import frame_schema

if TYPE_CHECKING:
    from datetime import date

# a day's contract allows one version per item; these decide if a caller's frame has more
_VERSION_ORDER = (
    "date",
    "updated_at",
    "available",
    "title",
    "category",
    "brand",
    "price",
    "description",
    "attributes",
)


def ordered_versions(item_versions: pl.LazyFrame) -> pl.LazyFrame:
    """Sort item versions by (tenant, item_id), then from oldest to newest.

    Newer is the larger (date, updated_at, available, title, category, brand, price,
    description, attributes), a null being smaller than any value.
    """
    return item_versions.select(frame_schema(Item).names()).sort(
        "tenant", "item_id", *_VERSION_ORDER, nulls_last=False
    )


def distinct_versions(item_versions: pl.DataFrame) -> pl.DataFrame:
    """Keep the newest of several versions of an item on a day; the contract allows one."""
    keys = ["tenant", "item_id", "date"]
    if not item_versions.select(pl.struct(keys).is_duplicated().any()).item():
        return item_versions
    return ordered_versions(item_versions.lazy()).unique(keys, keep="last").collect()


def catalogue_as_of(item_versions: pl.LazyFrame, day: date) -> pl.LazyFrame:
    """Return the newest version of each item with `date` up to and including the day.

    Withdrawn items are kept with `available` false.

    Args:
        item_versions: Valid item versions (columns of `Item`) of any days.
        day: UTC day at whose end the catalogue is read.

    Returns:
        Frame of `frame_schema(Item)`, one row per (tenant, item_id), sorted by them.
    """
    return (
        ordered_versions(item_versions.filter(pl.col("date") <= day))
        .unique(["tenant", "item_id"], keep="last", maintain_order=True)
        .select(frame_schema(Item).names())
    )
