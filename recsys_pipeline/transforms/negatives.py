"""Sampled negatives: items that a user had not met by the end of the day.

Randomness is counter-based: every proposal is a stable hash of (seed, tenant, day, user, the
positive's item, draw, attempt), so the same rows come out whatever the row order, the chunking
of days and the thread count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import SampleKeys
from recsys_pipeline.transforms.candidates import History, ItemState
from recsys_pipeline.transforms.coding import vocabulary, with_code
from recsys_pipeline.transforms.popularity import popularity_weights
from recsys_pipeline.transforms.stable_hash import Words, fold, hash_strings, start
from recsys_pipeline.transforms.successive_sampling import (
    Pool,
    draw_distinct,
    exclusion,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.sampling_config import SamplingConfig

NEGATIVE_COLUMNS = (
    "tenant",
    "date",
    "user_id",
    "item_id",
    "timestamp",
    "negative_source",
    "sampling_probability",
    "conditional_probability",
)
SHORTFALL_SCHEMA = {"tenant": pl.String(), "date": pl.Date(), "shortfall": pl.Int64()}

_EPOCH = date(1970, 1, 1)
_EXACT = np.uint64(0x6578616374)  # sets the exact path's hashes apart from the proposals'


@dataclass(frozen=True)
class Negatives:
    """Negatives and what could not be drawn.

    Attributes:
        rows: Columns `NEGATIVE_COLUMNS`, sorted by (date, tenant, user_id), then by slot.
        shortfall: Columns tenant, date, shortfall (Int64): requested less drawn, one row per
            (tenant, date) with positives, zeros included; sorted by (date, tenant).
    """

    rows: pl.DataFrame
    shortfall: pl.DataFrame


@dataclass(frozen=True)
class _Positives:
    """Positives of one (tenant, day) in slot order: by user, timestamp, item.

    Attributes:
        user: User code of each.
        item: Item code of each.
        timestamp: Microseconds since 1970-01-01.
        occurrence: 0, 1, … among those equal in all three.
    """

    user: Ints
    item: Ints
    timestamp: Ints
    occurrence: Ints


@dataclass(frozen=True)
class _World:
    """What every (tenant, day) draws from."""

    users: pl.DataFrame
    items: pl.DataFrame
    user_hashes: Words
    item_hashes: Words
    history: History

    @classmethod
    def of(
        cls, positives: pl.DataFrame, events: pl.LazyFrame, item_versions: pl.LazyFrame
    ) -> _World:
        users = vocabulary([positives.lazy()], "user_id")
        items = vocabulary([events, item_versions, positives.lazy()], "item_id")
        return cls(
            users,
            items,
            hash_strings(users["user_id"]),
            hash_strings(items["item_id"]),
            History.of(events, users, items),
        )


def negatives(
    positives: pl.DataFrame,
    events: pl.LazyFrame,
    item_versions: pl.LazyFrame,
    config: Mapping[str, SamplingConfig],
) -> Negatives:
    """Draw `ratio` negatives for each positive.

    Candidates of (tenant, day) are the items of the catalogue that are available at the end of
    the day and the items with an event up to it. Excluded are the items that the user has an
    event with, of any type, up to the end of the day. Negatives are distinct within (tenant,
    day, user): successive sampling in the order of the positives' (timestamp, item_id). Where
    fewer candidates are left than asked for, the last draws are missing and counted.

    `sampling_probability` is weight / sum over all candidates; `conditional_probability` is
    weight / sum over the candidates that are not excluded. Weights are 1 (`uniform`) or
    `popularity_weights` of the events before the day.

    Args:
        positives: Columns tenant, date, user_id, item_id, timestamp, as `positives` returns.
        events: Accepted events (columns of `Interaction`) up to the last day at least.
        item_versions: Valid item versions (columns of `Item`); may be empty.
        config: Settings of every tenant in `positives`.
    """
    world = _World.of(positives, events, item_versions)
    state = ItemState(events, item_versions, world.items)
    schema = frame_schema(SampleKeys)
    parts = [pl.DataFrame(schema={name: schema[name] for name in NEGATIVE_COLUMNS})]
    missing: list[tuple[str, date, int]] = []
    for day, tenants in _by_day(positives, world):
        candidates = state.candidates((day - _EPOCH).days)
        for tenant, own in tenants:
            codes = _codes_of(tenant, candidates, world.items)
            rows = _draw(own, codes, state.counts[codes], tenant, day, config[tenant], world)
            missing.append((tenant, day, len(own.user) * config[tenant].ratio - rows.height))
            parts.append(rows)
    shortfall = pl.DataFrame(missing, schema=SHORTFALL_SCHEMA, orient="row")
    return Negatives(pl.concat(parts), shortfall)


def _by_day(
    positives: pl.DataFrame, world: _World
) -> Iterator[tuple[date, list[tuple[str, _Positives]]]]:
    """Yield each day with its positives per tenant, days and tenants ascending."""
    coded = with_code(
        with_code(positives.lazy(), world.users, "user_id", "user"), world.items, "item_id", "item"
    )
    keys = ["date", "tenant", "user", "timestamp", "item"]
    ordered = (
        coded.select(keys)
        .sort(keys)
        .with_columns((pl.int_range(pl.len()).over(keys)).alias("occurrence"))
        .collect()
    )
    for day_rows in ordered.partition_by("date", maintain_order=True):
        yield (
            day_rows["date"][0],
            [
                (
                    rows["tenant"][0],
                    _Positives(
                        *(
                            rows[name].to_physical().cast(pl.Int64).to_numpy()
                            for name in ("user", "item", "timestamp", "occurrence")
                        )
                    ),
                )
                for rows in day_rows.partition_by("tenant", maintain_order=True)
            ],
        )


def _codes_of(tenant: str, candidates: npt.NDArray[np.bool_], items: pl.DataFrame) -> Ints:
    """Return the item codes of a tenant's candidates, ascending."""
    low, high = (items["tenant"].search_sorted(tenant, side) for side in ("left", "right"))
    return np.flatnonzero(candidates[low:high]) + low


def _draw(  # one (tenant, day) and what it draws from
    own: _Positives,
    codes: Ints,
    counts: Ints,
    tenant: str,
    day: date,
    config: SamplingConfig,
    world: _World,
) -> pl.DataFrame:
    """Draw the negatives of one (tenant, day)."""
    popular = config.strategy == "popularity"
    weights = popularity_weights(counts, config.alpha) if popular else None
    pool = Pool(world.item_hashes[codes], weights)
    users, owner = np.unique(own.user, return_inverse=True)
    met_by, met = world.history.up_to(users, (day - _EPOCH).days)
    excluded = exclusion(met_by, np.searchsorted(codes, met), len(users), pool)

    base = fold(start(config.seed), hash_strings(pl.Series([tenant])))
    base = fold(base, np.array([(day - _EPOCH).days]))
    user_states = fold(base, world.user_hashes[users])
    states = fold(user_states[owner], world.item_hashes[own.item])
    if config.level == "event":
        states = fold(states, own.timestamp)
    positive = np.repeat(np.arange(len(owner)), config.ratio)
    number = np.tile(np.arange(config.ratio), len(owner))
    slots = fold(states[positive], own.occurrence[positive] * config.ratio + number)
    drawn = draw_distinct(owner[positive], slots, fold(user_states, _EXACT), pool, excluded)

    positive, drawn = positive[drawn >= 0], drawn[drawn >= 0]
    weight = pool.weight_of(drawn)
    left = pool.total - excluded.weights[owner[positive]]
    schema = frame_schema(SampleKeys)
    return pl.DataFrame(
        [
            world.users["user_id"].gather(own.user[positive]),
            world.items["item_id"].gather(codes[drawn]),
            pl.Series("timestamp", own.timestamp[positive]).cast(schema["timestamp"]),
            pl.Series("sampling_probability", weight / max(pool.total, 1)),
            pl.Series("conditional_probability", weight / left),
        ]
    ).select(
        pl.lit(tenant).alias("tenant"),
        pl.lit(day).alias("date"),
        "user_id",
        "item_id",
        "timestamp",
        pl.lit(config.strategy).alias("negative_source"),
        "sampling_probability",
        "conditional_probability",
    )
