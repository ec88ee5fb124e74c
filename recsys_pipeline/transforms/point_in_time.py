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


class FeaturesBefore:
    """Features of users and items as of before days, for rows whose days never go back.

    `user_*` and `item_*` columns are those of the entity's events of earlier days;
    `item_category`, `item_brand` and `item_price` are of the item's newest version with an
    earlier `date`. Without one they are null.

    Args:
        events: The tenant's events, on the state of the days before; every day of the rows.
        items: All items of the tenant.
        feature_columns: Names out of `SAMPLE_FEATURES`.
        event_weights: Integer weight of each interaction type in `engagement_score`.

    Raises:
        SettingsError: A feature column is not one of `SAMPLE_FEATURES`.
    """

    def __init__(
        self,
        events: EventPass,
        items: KnownItems,
        feature_columns: Sequence[str],
        event_weights: Mapping[str, int],
    ) -> None:
        check_columns(feature_columns)
        self._columns = tuple(feature_columns)
        self._weights = event_weights
        self._versions = items.versions
        self._users: _History | None = None
        self._items: _History | None = None
        self._catalogue: _Newest | None = None
        if self._wanted("user", USER_FEATURE_NAMES):
            every = np.arange(len(events.users.ids))
            self._users = _History(events, "user", every, events.start_of_users)
        if self._wanted("item", ITEM_FEATURE_NAMES):
            known = np.full(len(items.ids), -1, np.int64)
            known[items.of_state] = np.arange(len(items.of_state))
            start = events.state.items.start(known)
            self._items = _History(events, "item", items.of_pass, start)
        if self._wanted("item", CATALOGUE_FEATURES):
            days = self._versions["date"].to_physical().cast(pl.Int64).to_numpy()
            none = np.full(len(items.ids), -1, np.int64)
            self._catalogue = _Newest(self._versions["item"].to_numpy(), days, none)

    def _wanted(self, prefix: str, names: Sequence[str]) -> list[str]:
        return [name for name in names if f"{prefix}_{name}" in self._columns]

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the features of some rows.

        Args:
            rows: Columns date, ascending and not before that of rows of earlier calls, `user` (code
                in the pass) and `item` (code in `KnownItems`).

        Returns:
            The feature columns in the order asked for, row by row.
        """
        day = rows["date"].to_physical().cast(pl.Int64).to_numpy()
        user, item = (rows[name].cast(pl.Int64).to_numpy() for name in ("user", "item"))
        found: dict[str, pl.Series] = {}
        if self._users is not None:
            index, history = self._users.before(user, day)
            table = with_user_formulas(totals_frame(history))
            found |= _columns("user", table, self._wanted("user", USER_FEATURE_NAMES), index)
        if self._items is not None:
            index, history = self._items.before(item, day)
            table = with_item_formulas(totals_frame(history), self._weights)
            found |= _columns("item", table, self._wanted("item", ITEM_FEATURE_NAMES), index)
        if self._catalogue is not None:
            index = self._catalogue.before(item, day)
            names = self._wanted("item", CATALOGUE_FEATURES)
            found |= _columns("item", self._versions, names, index)
        return pl.DataFrame({name: found[name] for name in self._columns})


def _columns(
    prefix: str, table: pl.DataFrame, names: Sequence[str], index: Ints
) -> dict[str, pl.Series]:
    rows = pl.Series(index).set(pl.Series(index < 0), None)
    taken = table.select(names).select(pl.all().gather(rows))
    return {f"{prefix}_{name}": taken[name] for name in names}


class _Newest:
    """The newest row of each entity before days that never go back.

    Args:
        entities: Entity of each row.
        days: Day of each row, ascending.
        start: Row of each entity before these, or -1.
    """

    def __init__(self, entities: Ints, days: Ints, start: Ints) -> None:
        self._entities, self._days = entities, days
        self._newest = start.copy()
        self._at = 0

    def before(self, asked: Ints, day: Ints) -> Ints:
        """Return for each entity asked for the newest row before its day (ascending), or -1."""
        from recsys_pipeline.kernels.as_of import newest_before

        if len(day):
            behind = int(np.searchsorted(self._days, day[0], side="left"))
            # of several rows of an entity the last assignment stands, and they are in day order
            self._newest[self._entities[self._at : behind]] = np.arange(self._at, behind)
            self._at = behind
        return newest_before(self._entities, self._days, self._at, self._newest, asked, day)


class _History:
    """Totals of entities on the days of their events.

    Args:
        events: The events.
        side: Users or items.
        codes: Code of each entity of the pass.
        start: The totals of each code before the pass.
    """

    def __init__(self, events: EventPass, side: Side, codes: Ints, start: Ints) -> None:
        totals = events.totals(side)
        before = np.where(start[:, TOTAL] > 0, len(totals.rows) + np.arange(len(start)), -1)
        self._newest = _Newest(codes[totals.entity], totals.day, before)
        self._own, self._start = totals.rows, start

    def before(self, asked: Ints, day: Ints) -> tuple[Ints, Ints]:
        """Return the totals of entities before days: a row number for each, -1 without any, and rows.

        Args:
            asked: The codes asked for.
            day: The day of each, ascending.
        """
        at = self._newest.before(asked, day)
        # features are computed of those rows alone that a sample has
        used = np.zeros(len(self._own) + len(self._start), np.bool_)
        used[at[at >= 0]] = True
        rows = np.flatnonzero(used)
        number = np.empty(len(used), np.int64)
        number[rows] = np.arange(len(rows))
        own, kept = np.split(rows, [np.searchsorted(rows, len(self._own))])
        history = np.concatenate([self._own[own], self._start[kept - len(self._own)]])
        return np.where(at >= 0, number[at], -1), history
