"""Sampled negatives: items that a user had not met by the end of the day.

Randomness is counter-based: every proposal is a stable hash of (seed, tenant, day, user, the
positive's item, draw, attempt), so the same rows come out whatever the row order, the chunking
of days and the thread count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
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
    from collections.abc import Mapping

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
class _Batch:
    """Positives of one (tenant, day) in slot order: by user, timestamp, item.

    Attributes:
        tenant: Number of the tenant in `_World.tenants`.
        day: Days since 1970-01-01.
        user: User code of each positive.
        item: Item code of each.
        timestamp: Microseconds since 1970-01-01.
        occurrence: 0, 1, … among those equal in all three.
    """

    tenant: int
    day: int
    user: Ints
    item: Ints
    timestamp: Ints
    occurrence: Ints


@dataclass(frozen=True)
class _Drawn:
    """Negatives of one batch, one array element each."""

    user: Ints
    item: Ints
    timestamp: Ints
    sampling: npt.NDArray[np.float64]
    conditional: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _World:
    """What every batch draws from: vocabularies, hashes of their words, and history."""

    tenants: list[str]
    users: pl.DataFrame
    items: pl.DataFrame
    item_ranges: list[tuple[int, int]]
    tenant_hashes: Words
    user_hashes: Words
    item_hashes: Words
    history: History

    @classmethod
    def of(
        cls, positives: pl.DataFrame, events: pl.LazyFrame, item_versions: pl.LazyFrame
    ) -> _World:
        users = vocabulary([positives.lazy()], "user_id")
        items = vocabulary([events, item_versions, positives.lazy()], "item_id")
        tenants = users["tenant"].unique().sort()
        owner = items["tenant"]
        return cls(
            tenants.to_list(),
            users,
            items,
            [(owner.search_sorted(t, "left"), owner.search_sorted(t, "right")) for t in tenants],
            hash_strings(tenants),
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
    batches = _batches(positives, world)
    drawn = []
    for batch in batches:
        low, high = world.item_ranges[batch.tenant]
        codes = np.flatnonzero(state.candidates(batch.day)[low:high]) + low
        chosen = config[world.tenants[batch.tenant]]
        drawn.append(_draw(batch, codes, state.counts[codes], chosen, world))
    return Negatives(
        _rows(batches, drawn, config, world), _shortfall(batches, drawn, config, world)
    )


def _batches(positives: pl.DataFrame, world: _World) -> list[_Batch]:
    """Split positives into batches, ordered by day, then tenant."""
    coded = with_code(
        with_code(positives.lazy(), world.users, "user_id", "user"), world.items, "item_id", "item"
    )
    # user codes are in the order of (tenant, user_id)
    keys = ["date", "user", "timestamp", "item"]
    ordered = (
        coded.select("tenant", *keys)
        .sort(keys)
        .with_columns(pl.int_range(pl.len()).over(keys).alias("occurrence"))
        .collect()
    )
    number = {tenant: n for n, tenant in enumerate(world.tenants)}
    tenants = ordered["tenant"].replace_strict(number, return_dtype=pl.Int64).to_numpy()
    days, *columns = (
        ordered[name].to_physical().cast(pl.Int64).to_numpy()
        for name in ("date", "user", "item", "timestamp", "occurrence")
    )
    edges = np.flatnonzero(np.diff(days) | np.diff(tenants)) + 1
    starts = np.concatenate([[0], edges])[: len(days)]
    ends = np.concatenate([edges, [len(days)]])
    return [
        _Batch(int(tenants[start]), int(days[start]), *(c[start:end] for c in columns))
        for start, end in zip(starts, ends, strict=False)
    ]


def _draw(
    batch: _Batch, codes: Ints, counts: Ints, config: SamplingConfig, world: _World
) -> _Drawn:
    """Draw the negatives of a batch.

    Args:
        batch: The positives.
        codes: Item codes of the candidates, ascending.
        counts: Events of each candidate before the day.
        config: Settings of the tenant.
        world: What every batch draws from.
    """
    popular = config.strategy == "popularity"
    weights = popularity_weights(counts, config.alpha) if popular else None
    pool = Pool(world.item_hashes[codes], weights)
    users, owner = np.unique(batch.user, return_inverse=True)
    met_by, met = world.history.up_to(users, batch.day)
    excluded = exclusion(met_by, np.searchsorted(codes, met), len(users), pool)

    day = np.array([batch.day])
    tenant_state = fold(start(config.seed), world.tenant_hashes[[batch.tenant]])
    user_states = fold(fold(tenant_state, day), world.user_hashes[users])
    states = fold(user_states[owner], world.item_hashes[batch.item])
    if config.level == "event":
        states = fold(states, batch.timestamp)
    positive = np.repeat(np.arange(len(owner)), config.ratio)
    number = np.tile(np.arange(config.ratio), len(owner))
    slots = fold(states[positive], batch.occurrence[positive] * config.ratio + number)
    drawn = draw_distinct(owner[positive], slots, fold(user_states, _EXACT), pool, excluded)

    positive, drawn = positive[drawn >= 0], drawn[drawn >= 0]
    weight, total = pool.weight_of(drawn), pool.total
    left = total - excluded.weights[owner[positive]]
    return _Drawn(
        batch.user[positive],
        codes[drawn],
        batch.timestamp[positive],
        weight / max(total, 1),  # without candidates there are no rows to divide for
        weight / left,
    )


def _rows(
    batches: list[_Batch],
    drawn: list[_Drawn],
    config: Mapping[str, SamplingConfig],
    world: _World,
) -> pl.DataFrame:
    schema = frame_schema(SampleKeys)
    if not batches:
        return pl.DataFrame(schema={name: schema[name] for name in NEGATIVE_COLUMNS})
    sizes = [len(part.user) for part in drawn]
    source = pl.Series([config[tenant].strategy for tenant in world.tenants], dtype=pl.String)
    tenants = np.repeat([batch.tenant for batch in batches], sizes)
    days = np.repeat([batch.day for batch in batches], sizes)
    columns = {
        "tenant": pl.Series(world.tenants)[tenants],
        "date": pl.Series(days).cast(pl.Int32),
        "user_id": world.users["user_id"][np.concatenate([part.user for part in drawn])],
        "item_id": world.items["item_id"][np.concatenate([part.item for part in drawn])],
        "timestamp": np.concatenate([part.timestamp for part in drawn]),
        "negative_source": source[tenants],
        "sampling_probability": np.concatenate([part.sampling for part in drawn]),
        "conditional_probability": np.concatenate([part.conditional for part in drawn]),
    }
    return pl.DataFrame(columns).cast({name: schema[name] for name in NEGATIVE_COLUMNS})


def _shortfall(
    batches: list[_Batch],
    drawn: list[_Drawn],
    config: Mapping[str, SamplingConfig],
    world: _World,
) -> pl.DataFrame:
    missing = [
        (tenant, _EPOCH + timedelta(days=batch.day), asked - len(part.user))
        for batch, part in zip(batches, drawn, strict=True)
        for tenant in [world.tenants[batch.tenant]]
        for asked in [len(batch.user) * config[tenant].ratio]
    ]
    return pl.DataFrame(missing, schema=SHORTFALL_SCHEMA, orient="row")
