"""Point-in-time join: features as they stood before each row's day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.kernels.columns import TOTAL
from recsys_pipeline.schemas.features import ITEM_FEATURE_NAMES, USER_FEATURE_NAMES
from recsys_pipeline.schemas.samples import CATALOGUE_FEATURES, SAMPLE_FEATURES
from recsys_pipeline.transforms.event_pass import totals_frame
from recsys_pipeline.transforms.item_features import with_item_formulas
from recsys_pipeline.transforms.user_features import with_user_formulas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.candidates import KnownItems
    from recsys_pipeline.transforms.event_pass import EventPass, Side


def check_columns(feature_columns: Sequence[str]) -> None:
    """Refuse names that are no feature of samples.

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


def features_before(
    rows: pl.DataFrame,
    events: EventPass,
    items: KnownItems,
    feature_columns: Sequence[str],
    event_weights: Mapping[str, int],
) -> pl.DataFrame:
    """Return for each row the features of its user and item as of before its day.

    `user_*` and `item_*` columns are those of the entity's events of earlier days;
    `item_category`, `item_brand` and `item_price` are of the item's newest version with an
    earlier `date`. Without one they are null.

    Args:
        rows: Columns date, ascending, `user` (code in the pass) and `item` (code in `KnownItems`).
        events: The tenant's events, on the state of the days before; every day of the rows.
        items: All items of the tenant.
        feature_columns: Names out of `SAMPLE_FEATURES`.
        event_weights: Integer weight of each interaction type in `engagement_score`.

    Returns:
        The feature columns in the order of `feature_columns`, row by row.

    Raises:
        SettingsError: A feature column is not one of `SAMPLE_FEATURES`.
    """
    from recsys_pipeline.kernels.as_of import newest_before

    check_columns(feature_columns)
    day = rows["date"].to_physical().cast(pl.Int64).to_numpy()
    user, item = rows["user"].to_numpy(), rows["item"].to_numpy()
    found: dict[str, pl.Series] = {}

    def wanted(prefix: str, names: Sequence[str]) -> list[str]:
        return [name for name in names if f"{prefix}_{name}" in feature_columns]

    if names := wanted("user", USER_FEATURE_NAMES):
        every = np.arange(len(events.users.ids))
        index, history = _newest_totals(events, "user", every, events.start_of_users, user, day)
        found |= _columns("user", with_user_formulas(totals_frame(history)), names, index)
    if names := wanted("item", ITEM_FEATURE_NAMES):
        known = np.full(len(items.ids), -1, np.int64)
        known[items.of_state] = np.arange(len(items.of_state))
        start = events.state.items.start(known)
        index, history = _newest_totals(events, "item", items.of_pass, start, item, day)
        table = with_item_formulas(totals_frame(history), event_weights)
        found |= _columns("item", table, names, index)
    if names := wanted("item", CATALOGUE_FEATURES):
        versions = items.versions
        days = versions["date"].to_physical().cast(pl.Int64).to_numpy()
        none = np.full(len(items.ids), -1, np.int64)
        index = newest_before(versions["item"].to_numpy(), days, none, item, day)
        found |= _columns("item", versions, names, index)
    return pl.DataFrame({name: found[name] for name in feature_columns})


def _columns(
    prefix: str, table: pl.DataFrame, names: Sequence[str], index: Ints
) -> dict[str, pl.Series]:
    rows = pl.Series(index).set(pl.Series(index < 0), None)
    taken = table.select(names).select(pl.all().gather(rows))
    return {f"{prefix}_{name}": taken[name] for name in names}


def _newest_totals(
    events: EventPass, side: Side, codes: Ints, start: Ints, asked: Ints, day: Ints
) -> tuple[Ints, Ints]:
    """Return the totals of entities before days: a row number for each, -1 without any, and rows.

    Args:
        events: The events.
        side: Users or items.
        codes: Code of each entity of the pass.
        start: The totals of each code before the pass.
        asked: The codes asked for.
        day: The day of each.
    """
    from recsys_pipeline.kernels.as_of import newest_before

    totals = events.totals(side)
    before = np.where(start[:, TOTAL] > 0, len(totals.rows) + np.arange(len(start)), -1)
    at = newest_before(codes[totals.entity], totals.day, before, asked, day)
    # features are computed of those rows alone that a sample has
    used = np.zeros(len(totals.rows) + len(start), np.bool_)
    used[at[at >= 0]] = True
    number = np.cumsum(used) - 1
    own, kept = np.split(used, [len(totals.rows)])
    history = np.concatenate([totals.rows[own], start[kept]])
    return np.where(at >= 0, number[at], -1), history
