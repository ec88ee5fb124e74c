"""Sampled negatives: items that a user had not met, or had only viewed, by the end of the day.

Randomness is counter-based: every proposal is a stable hash of (seed, tenant, day, user, the
positive's item, draw, attempt), so the same rows come out whatever the row order, the chunking
of days and the thread count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from recsys_pipeline.schemas.samples import NEGATIVE_SOURCES
from recsys_pipeline.transforms.candidates import ItemState, KnownItems
from recsys_pipeline.transforms.mixture import source_shares
from recsys_pipeline.transforms.occurrences import occurrences
from recsys_pipeline.transforms.pool import Pool
from recsys_pipeline.transforms.stable_hash import fold, hash_strings, start
from recsys_pipeline.transforms.threads import two_at_a_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.transforms.arrays import Bytes, Codes, Flags, Floats, Ints
    from recsys_pipeline.transforms.event_pass import EventPass, Members
    from recsys_pipeline.transforms.positives import Positives
    from recsys_pipeline.transforms.sampling_config import SamplingConfig
    from recsys_pipeline.transforms.stable_hash import Words

    _Drawn: TypeAlias = tuple[Ints, Ints, Bytes, Floats, Floats]

_PART = 25_000
_EXACT = np.uint64(0x6578616374)  # sets the exact path's hashes apart from the proposals'


@dataclass(frozen=True)
class Negatives:
    """The negatives of some users of a day, and what could not be drawn.

    Attributes:
        day: Days since 1970-01-01.
        events: Event number of each positive of these users, by user, timestamp, item.
        positive: For each negative the positive that it was drawn for: its place in `events`,
            ascending.
        item: Its item (code in `KnownItems`).
        source: The source that drew it: place in `NEGATIVE_SOURCES`.
        sampling_probability: Its probability in one draw, before exclusion.
        conditional_probability: The same after exclusion.
        shortfall: Requested less drawn.
    """

    day: int
    events: Codes
    positive: Ints
    item: Ints
    source: Bytes
    sampling_probability: Floats
    conditional_probability: Floats
    shortfall: int


@dataclass(frozen=True)
class _Batch:
    """Positives of one day in slot order: by user, timestamp, item.

    Attributes:
        day: Days since 1970-01-01.
        place: Place of each among the positives of the same users.
        user: User code of each positive.
        item: Item code of each, of the pass.
        timestamp: Microseconds since 1970-01-01.
        occurrence: 0, 1, … among those equal in all three.
    """

    day: int
    place: Ints
    user: Codes
    item: Codes
    timestamp: Ints
    occurrence: Ints

    @classmethod
    def of(cls, events: EventPass, day: int, rows: Codes) -> _Batch:
        """Return the positives that some events of a day are."""
        columns = (events.users.codes[rows], events.items.codes[rows], events.times[rows])
        return cls(day, np.arange(len(rows)), *columns, occurrences(*columns))

    def take(self, chosen: Flags) -> _Batch:
        """Return some of the positives."""
        return _Batch(
            self.day,
            self.place[chosen],
            self.user[chosen],
            self.item[chosen],
            self.timestamp[chosen],
            self.occurrence[chosen],
        )


def negatives(
    positives: Positives,
    events: EventPass,
    items: KnownItems,
    tenant: str,
    config: SamplingConfig,
) -> Iterator[Negatives]:
    """Draw `ratio` negatives for each positive.

    Candidates of a day are the items of the catalogue that are available at the end of the day
    and the items with an event up to it. Excluded are the items that the user has an event
    with, of any type, up to the end of the day; from the source `viewed`, those with any other
    event of the user than views, or with none. Negatives are distinct within (day, user):
    successive sampling in the order of the positives' (timestamp, item_id). Where fewer
    candidates are left than asked for, the last draws are missing and counted.

    A source s draws item i with probability q(s, i) = weight / sum over its candidates before
    exclusion, and q'(s, i) = weight / sum over those of them that are not excluded. Weights are 1
    (`uniform`), `popularity_weights` of the events before the day, 1 in the positive's category
    and 0 elsewhere (`category`): that of the newest version up to the end of the day; or 1 for what
    the user has only viewed and 0 elsewhere (`viewed`), before exclusion as after it.

    `sampling_probability` is the sum over sources of w(s) q(s, i), `conditional_probability` that
    of w(s) q'(s, i). w(s) is the weight of the source in this draw, and the weights sum to 1:

    - `uniform`, `popularity`: the source has weight 1.
    - `category`, `viewed`, `mixed`: each source as configured (`source_shares`). `category` has none
      where the positive's item has no catalogue entry or the user has met all candidates of its
      category, `viewed` where the user has only viewed none: then the weight is the others' in
      proportion, or all `uniform`'s. Once the user's draws of the day have used that
      category, or what was viewed, up, its weight is `uniform`'s. Once they have used up all that the
      user has not met, all weight is that of `viewed`, if it has any.

    Args:
        positives: Those of the events that negatives are wanted for.
        events: The tenant's events, on the state of the days before.
        items: All items of the tenant.
        tenant: The tenant.
        config: How it draws.

    Yields:
        Parts of about `_PART` positives, each with all those of its users on a day; by day, then
        user. They are drawn as they are asked for, two at a time.
    """
    by_category = bool(source_shares(config)[NEGATIVE_SOURCES.index("category")])
    state = ItemState(events, items, with_categories=by_category)
    seed = fold(start(config.seed), hash_strings(pl.Series([tenant])))
    _ = events.first_meetings  # which all need

    def tasks() -> Iterator[tuple[int, Codes, Pool]]:
        for number in np.flatnonzero(np.diff(positives.offsets)).tolist():
            day = positives.day + number
            pool = Pool.of(state, items, day, config)
            begin, end = positives.offsets[number : number + 2].tolist()
            for rows in _parts(events, positives.events[begin:end]):
                yield day, rows, pool

    return two_at_a_time(lambda task: _draw(*task, events, items, seed, config), tasks())


def _parts(events: EventPass, rows: Codes) -> Iterator[Codes]:
    """Cut a day's positives into parts of about `_PART`, each with all those of its users."""
    begin = 0
    while begin < len(rows):
        end = min(begin + _PART, len(rows))
        last = events.users.codes[rows[end - 1]]
        most = int(np.diff(events.by_user[0][last : last + 2])[0])  # events that the user has
        end += int((events.users.codes[rows[end : end + most]] == last).sum())
        yield rows[begin:end]
        begin = end


def _draw(
    day: int,
    rows: Codes,
    pool: Pool,
    events: EventPass,
    items: KnownItems,
    seed: Words,
    config: SamplingConfig,
) -> Negatives:
    """Draw for positives of one day, bucket by bucket: what users have met is read from there."""
    batch = _Batch.of(events, day, rows)
    found: list[_Drawn] = []
    if len(events.members) == 1:
        found.append(_of_bucket(batch, events.members[0], pool, events, items, seed, config))
    else:
        bucket_of = events.bucket_of[batch.user]
        for members in events.members:
            own = bucket_of == members.bucket
            if own.any():
                part = batch.take(own)
                found.append(_of_bucket(part, members, pool, events, items, seed, config))
    positive, item, source, of_all, of_left = (
        np.concatenate(columns) for columns in zip(*found, strict=True)
    )
    if len(found) > 1:
        order = np.argsort(positive, kind="stable")
        positive, item, source = positive[order], item[order], source[order]
        of_all, of_left = of_all[order], of_left[order]
    missing = len(rows) * config.ratio - len(positive)
    return Negatives(day, rows, positive, item, source, of_all, of_left, missing)


def _of_bucket(
    batch: _Batch,
    members: Members,
    pool: Pool,
    events: EventPass,
    items: KnownItems,
    seed: Words,
    config: SamplingConfig,
) -> _Drawn:
    """Draw for positives of one day and bucket.

    Returns:
        Place of its positive, item, source and both probabilities of each negative, as in
        `Negatives`.
    """
    from recsys_pipeline.kernels.met_candidates import banned_candidates, viewed_candidates
    from recsys_pipeline.kernels.mixed_sampling import draw_mixed
    from recsys_pipeline.kernels.sampling import ROUNDS, draw_distinct, drawn_negatives

    first_positive = np.flatnonzero(np.diff(batch.user, prepend=-1))
    users = batch.user[first_positive]
    bucket = events.state.buckets[members.bucket]
    before = (
        members.known[np.searchsorted(members.users, users)],
        bucket.met_offsets,
        bucket.met,
        pool.place[items.of_pass],
        pool.place[items.of_state],
    )
    by_user = (users, batch.day, *events.by_user, events.items.codes, events.first_meetings)
    banned = banned_candidates(*by_user, events.days, *before)
    offsets = np.append(first_positive, len(batch.user))
    user_states = fold(fold(seed, np.array([batch.day])), events.users.hashes[users])
    states = fold(np.repeat(user_states, np.diff(offsets)), events.items.hashes[batch.item])
    if config.level == "event":
        states = fold(states, batch.timestamp)
    if config.strategy in ("category", "viewed", "mixed"):
        viewed: tuple[Ints, Ints] = (np.zeros(len(offsets), np.int64), np.empty(0, np.int64))
        if pool.shares[NEGATIVE_SOURCES.index("viewed")]:
            viewed = viewed_candidates(
                *by_user, events.first_engagements, events.days, *before, len(pool.codes)
            )
        item_places = pool.place[items.of_pass[batch.item]]
        slots, source, of_all, of_left = draw_mixed(
            offsets,
            states,
            batch.occurrence * config.ratio,
            config.ratio,
            *banned,
            pool.shares,
            pool.categories.of,
            pool.categories.offsets,
            pool.categories.members,
            pool.categories.of[item_places],
            pool.weights,
            pool.table,
            *viewed,
            ROUNDS,
        )
        filled = np.flatnonzero(slots >= 0)
        positive = batch.place[filled // config.ratio]
        item = pool.codes[slots[filled]]
        return positive, item, source[filled], of_all[filled], of_left[filled]
    slots, left = draw_distinct(
        offsets,
        states,
        batch.occurrence * config.ratio,
        config.ratio,
        fold(user_states, _EXACT),
        *banned,
        pool.hashes,
        pool.weights,
        pool.table,
        ROUNDS,
    )
    positive, item, of_all, of_left = drawn_negatives(
        slots, config.ratio, offsets, left, pool.weights, pool.codes
    )
    source = np.full(len(item), NEGATIVE_SOURCES.index(config.strategy), np.uint8)
    return batch.place[positive], item, source, of_all, of_left
