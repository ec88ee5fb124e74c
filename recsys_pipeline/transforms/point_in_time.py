"""Point-in-time join: features as they stood before each row's day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.schemas.features import ITEM_FEATURE_NAMES, USER_FEATURE_NAMES
from recsys_pipeline.schemas.samples import CATALOGUE_FEATURES, SAMPLE_FEATURES
from recsys_pipeline.transforms.catalogue import ordered_versions
from recsys_pipeline.transforms.coding import vocabulary, with_code
from recsys_pipeline.transforms.features_common import end_of_day

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAYS = 1 << 20  # more than the days that a date can have
_DAY_MICROSECONDS = 86_400_000_000


def attach_features(
    rows: pl.LazyFrame,
    user_features: pl.LazyFrame,
    item_features: pl.LazyFrame,
    item_versions: pl.LazyFrame,
    feature_columns: Sequence[str],
) -> pl.LazyFrame:
    """Add to each row the features of its user and item as of before its day.

    `user_*` and `item_*` columns come from the entity's newest feature row whose `as_of` is at
    or before 00:00 UTC of the row's `date`; `item_category`, `item_brand` and `item_price` from
    the item's newest version with an earlier `date`. Without one they are null.

    Args:
        rows: Columns tenant, date, user_id, item_id, and any others but the feature columns.
        user_features: Columns of `UserFeatures`, one row per (tenant, user, day).
        item_features: Columns of `ItemFeatures`, one row per (tenant, item, day).
        item_versions: Valid item versions (columns of `Item`).
        feature_columns: Names out of `SAMPLE_FEATURES`.

    Returns:
        The rows in their order with the feature columns in the order of `feature_columns`.

    Raises:
        SettingsError: A feature column is not one of `SAMPLE_FEATURES`.
    """
    unknown = sorted(set(feature_columns) - set(SAMPLE_FEATURES))
    if unknown:
        raise SettingsError(
            "sample_features",
            f"{unknown[0]!r} is not a feature column of training samples",
            f"Choose from {', '.join(SAMPLE_FEATURES)}",
        )
    found = rows.collect()
    versions = ordered_versions(item_versions).unique(
        ["tenant", "item_id", "date"], keep="last", maintain_order=True
    )
    dated = versions.with_columns(end_of_day().alias("as_of"))
    columns: dict[str, pl.Series] = {}
    for prefix, entity, features, names in (
        ("user", "user_id", user_features, USER_FEATURE_NAMES),
        ("item", "item_id", item_features, ITEM_FEATURE_NAMES),
        ("item", "item_id", dated, CATALOGUE_FEATURES),
    ):
        wanted = [name for name in names if f"{prefix}_{name}" in feature_columns]
        if wanted:
            taken = _newest_before(found, features.select("tenant", entity, "as_of", *wanted))
            columns |= {f"{prefix}_{name}": taken[name] for name in wanted}
    return found.with_columns(columns[name].alias(name) for name in feature_columns).lazy()


def _newest_before(rows: pl.DataFrame, features: pl.LazyFrame) -> pl.DataFrame:
    """Return for each row its entity's newest features with `as_of` up to the row's day start.

    Args:
        rows: Columns tenant, date and the entity's id.
        features: Columns tenant, the entity's id, as_of, then the features.

    Returns:
        The features, row by row; nulls without history.
    """
    entity = features.collect_schema().names()[1]
    met = rows.lazy().select("tenant", entity).unique()
    history = features.join(met, on=["tenant", entity], how="semi").collect()
    if history.is_empty():
        return history.clear(rows.height)
    words = vocabulary([history.lazy()], entity)
    key = pl.col("entity").cast(pl.Int64) * _DAYS
    keys = (
        with_code(
            history.lazy().select("tenant", entity, "as_of").with_row_index("row"),
            words,
            entity,
            "entity",
        )
        .select((key + _first_day(pl.col("as_of"))).alias("key"), "as_of", "row")
        .sort("key", "as_of")
        .collect()
    )
    codes = words.lazy().with_row_index("entity")
    asked = (
        rows.lazy()
        .select("tenant", entity, "date")
        .join(codes, on=["tenant", entity], how="left", maintain_order="left")
        .select("entity", (key + pl.col("date").to_physical()).alias("key"))
        .collect()
    )
    ordered = keys["key"].to_numpy()
    at = np.searchsorted(ordered, asked["key"].fill_null(-1).to_numpy(), side="right") - 1
    # the newest key at or below the row's own may be another entity's
    known = (at >= 0) & (ordered[at] // _DAYS == asked["entity"].fill_null(0).to_numpy())
    index = pl.Series(keys["row"].to_numpy()[at]).cast(pl.Int64).set(pl.Series(~known), None)
    return history[:, 3:].select(pl.all().gather(index))


def _first_day(time: pl.Expr) -> pl.Expr:
    """Return the first day (days since 1970-01-01) that starts at or after the time."""
    return -(-time.to_physical() // _DAY_MICROSECONDS)
