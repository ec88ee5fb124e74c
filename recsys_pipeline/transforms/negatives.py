"""Sampled negatives: items that a user had not met by the end of the day.

Randomness is counter-based: every proposal is a stable hash of (seed, tenant, day, user, the
positive's item, draw, attempt), so the same rows come out whatever the row order, the chunking
of days and the thread count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recsys_pipeline.transforms.candidates import ItemState, KnownItems
from recsys_pipeline.transforms.popularity import popularity_weights
from recsys_pipeline.transforms.stable_hash import fold, hash_strings, start
from recsys_pipeline.transforms.threads import two_at_a_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from recsys_pipeline.transforms.arrays import Flags, Floats, Ints
    from recsys_pipeline.transforms.event_pass import EventPass, Members
    from recsys_pipeline.transforms.sampling_config import SamplingConfig
    from recsys_pipeline.transforms.stable_hash import Words

_PART = 100_000
_EXACT = np.uint64(0x6578616374)  # sets the exact path's hashes apart from the proposals'


@dataclass(frozen=True)
class Negatives:
    """Negatives and what could not be drawn.

    Attributes:
        positive: For each negative the positive that it was drawn for: its row in the positives,
            ascending.
        item: Its item (code in `KnownItems`).
        sampling_probability: Its probability in one draw, before exclusion.
        conditional_probability: The same after exclusion.
        shortfall: Requested less drawn, by day with positives, zeros included.
    """

    positive: Ints
    item: Ints
    sampling_probability: Floats
    conditional_probability: Floats
    shortfall: dict[int, int]


@dataclass(frozen=True)
class _Batch:
    """Positives of one day in slot order: by user, timestamp, item.

    Attributes:
        rows: Row of each in the positives.
        day: Days since 1970-01-01.
        user: User code of each positive.
        item: Item code of each, of the pass.
        timestamp: Microseconds since 1970-01-01.
        occurrence: 0, 1, … among those equal in all three.
    """

    rows: Ints
    day: int
    user: Ints
    item: Ints
    timestamp: Ints
    occurrence: Ints

    def take(self, chosen: Flags | slice) -> _Batch:
        """Return some of the positives."""
        columns = (self.user, self.item, self.timestamp, self.occurrence)
        return _Batch(self.rows[chosen], self.day, *(column[chosen] for column in columns))

    def parts(self) -> Iterator[_Batch]:
        """Cut it into parts of about `_PART` positives, each with all those of its users."""
        begin = 0
        while begin < len(self.user):
            end = begin + _PART
            if end < len(self.user):
                end = int(np.searchsorted(self.user, self.user[end - 1], side="right"))
            yield self.take(slice(begin, end))
            begin = end


def negatives(
    positives: pl.DataFrame,
    events: EventPass,
    items: KnownItems,
    tenant: str,
    config: SamplingConfig,
) -> Negatives:
    """Draw `ratio` negatives for each positive.

    Candidates of a day are the items of the catalogue that are available at the end of the day
    and the items with an event up to it. Excluded are the items that the user has an event
    with, of any type, up to the end of the day. Negatives are distinct within (day, user):
    successive sampling in the order of the positives' (timestamp, item_id). Where fewer
    candidates are left than asked for, the last draws are missing and counted.

    `sampling_probability` is weight / sum over all candidates; `conditional_probability` is
    weight / sum over the candidates that are not excluded. Weights are 1 (`uniform`) or
    `popularity_weights` of the events before the day.

    Args:
        positives: Columns date, user_id, item_id (codes of the pass), timestamp, as `positives`
            returns: sorted by date, user_id, timestamp, item_id.
        events: The tenant's events, on the state of the days before.
        items: All items of the tenant.
        tenant: The tenant.
        config: How it draws.
    """
    state = ItemState(events, items)
    seed = fold(start(config.seed), hash_strings(pl.Series([tenant])))
    _ = events.first_meetings  # which all need

    def tasks() -> Iterator[tuple[_Batch, Members, _Pool]]:
        for batch in _batches(positives):
            pool = _Pool.of(state, batch.day, config)
            for own, members in _by_bucket(batch, events):
                for part in own.parts():
                    yield part, members, pool

    drawn = list(two_at_a_time(lambda task: _draw(*task, events, items, seed, config), tasks()))
    shortfall: dict[int, int] = {}
    for part in drawn:
        shortfall[part.day] = shortfall.get(part.day, 0) + part.shortfall

    def joined(name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        every = np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in drawn)])
        return every if order is None else every[order]

    order = None
    positive = joined("positive", np.int64)
    if len(events.members) > 1:  # they were drawn bucket by bucket
        order = np.argsort(positive, kind="stable")
        positive = positive[order]
    return Negatives(
        positive,
        joined("item", np.int64),
        joined("sampling_probability", np.float64),
        joined("conditional_probability", np.float64),
        shortfall,
    )


def _batches(positives: pl.DataFrame) -> Iterator[_Batch]:
    """Split positives into batches, in the order of days."""
    days, *columns = (
        positives[name].to_physical().cast(pl.Int64).to_numpy()
        for name in ("date", "user_id", "item_id", "timestamp")
    )
    columns.append(_occurrences(days, *columns))
    edges = np.flatnonzero(np.diff(days)) + 1
    starts = np.concatenate([[0], edges])[: len(days)]
    ends = np.concatenate([edges, [len(days)]])
    for begin, end in zip(starts, ends, strict=False):
        rows = np.arange(begin, end)
        yield _Batch(rows, int(days[begin]), *(c[begin:end] for c in columns))


def _occurrences(*keys: Ints) -> Ints:
    """Return 0, 1, … within each run of rows that are equal in all keys."""
    number = np.arange(len(keys[0]))
    begins = np.ones(len(number), np.bool_)
    begins[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return number - np.maximum.accumulate(np.where(begins, number, 0))


def _by_bucket(batch: _Batch, events: EventPass) -> Iterator[tuple[_Batch, Members]]:
    """Divide positives by the bucket of their users: what they have met is read from there."""
    bucket_of = events.bucket_of[batch.user]
    for members in events.members:
        chosen = bucket_of == members.bucket
        if chosen.any():
            yield batch.take(chosen), members


@dataclass(frozen=True)
class _Drawn:
    """What was drawn for a part of a day's positives, as in `Negatives`, and how many are missing."""

    positive: Ints
    item: Ints
    sampling_probability: Floats
    conditional_probability: Floats
    day: int
    shortfall: int


@dataclass(frozen=True)
class _Pool:
    """What may be drawn on a day.

    Attributes:
        codes: Item codes of the candidates.
        place: Place among them of every item code, or -1.
        weights: Weight of each; empty when all are equal.
        table: Their alias table.
    """

    codes: Ints
    place: Ints
    weights: Ints
    table: Words

    @classmethod
    def of(cls, state: ItemState, day: int, config: SamplingConfig) -> _Pool:
        from recsys_pipeline.kernels.sampling import alias_table

        candidates = state.candidates(day)
        codes = np.flatnonzero(candidates)
        place = np.full(len(candidates), -1, np.int64)
        place[codes] = np.arange(len(codes))
        weights = (
            popularity_weights(state.counts[codes], config.alpha)
            if config.strategy == "popularity"
            else np.empty(0, np.int64)
        )
        return cls(codes, place, weights, alias_table(weights))


def _draw(
    batch: _Batch,
    members: Members,
    pool: _Pool,
    events: EventPass,
    items: KnownItems,
    seed: npt.NDArray[np.uint64],
    config: SamplingConfig,
) -> _Drawn:
    """Draw for positives of one day and bucket."""
    from recsys_pipeline.kernels.sampling import (
        ROUNDS,
        banned_candidates,
        draw_distinct,
        drawn_negatives,
    )

    first_positive = np.flatnonzero(np.diff(batch.user, prepend=-1))
    users = batch.user[first_positive]
    bucket = events.state.buckets[members.bucket]
    banned = banned_candidates(
        users,
        batch.day,
        *events.by_user,
        events.items.codes,
        events.first_meetings,
        events.days,
        members.known[np.searchsorted(members.users, users)],
        bucket.met_offsets,
        bucket.met,
        pool.place[items.of_pass],
        pool.place[items.of_state],
    )
    offsets = np.append(first_positive, len(batch.user))
    user_states = fold(fold(seed, np.array([batch.day])), events.users.hashes[users])
    states = fold(np.repeat(user_states, np.diff(offsets)), events.items.hashes[batch.item])
    if config.level == "event":
        states = fold(states, batch.timestamp)
    slots, left = draw_distinct(
        offsets,
        states,
        batch.occurrence * config.ratio,
        config.ratio,
        fold(user_states, _EXACT),
        *banned,
        items.hashes[pool.codes],
        pool.weights,
        pool.table,
        ROUNDS,
    )
    positive, item, of_all, of_left = drawn_negatives(
        slots, config.ratio, offsets, left, pool.weights, pool.codes
    )
    short = len(slots) - len(positive)
    return _Drawn(batch.rows[positive], item, of_all, of_left, batch.day, short)
