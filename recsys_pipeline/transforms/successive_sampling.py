"""Distinct draws without replacement for many owners at once, from one pool of candidates.

Each owner's draws are successive sampling: read an i.i.d. stream of candidates, each drawn with
probability weight / total, and skip what is excluded or was drawn before. Slots propose in
rounds and an owner's proposals of a round are read in slot order, so the rounds, one after the
other, are that stream. Which owner leaves the stream is decided by what it has read alone, and
its remaining slots are filled exactly by exponential keys over what is left (Efraimidis and
Spirakis, "Weighted random sampling with a reservoir", IPL 2006), which is the same law. So work
is bounded, whatever the exclusions and the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys_pipeline.transforms.arrays import Ints, contains, spans
from recsys_pipeline.transforms.stable_hash import Words, fold, scale

ROUNDS = 32
_BLOCK = 1 << 22  # candidates of all owners that the exact path holds at once


@dataclass(frozen=True)
class Pool:
    """Candidates in a fixed order.

    Attributes:
        hashes: uint64 stable hash of each candidate's id.
        weights: Positive integer weights, summing to less than 2**63; None when all are equal.
    """

    hashes: Words
    weights: Ints | None = None

    @property
    def size(self) -> int:
        """Number of candidates."""
        return len(self.hashes)

    def weight_of(self, candidates: Ints) -> Ints:
        """Return the weights of some candidates."""
        if self.weights is None:
            return np.ones(len(candidates), dtype=np.int64)
        return self.weights[candidates]

    @property
    def total(self) -> int:
        """Sum of the weights."""
        return self.size if self.weights is None else int(self.weights.sum())


@dataclass(frozen=True)
class Exclusion:
    """What each owner must not draw.

    Attributes:
        codes: Ascending distinct int64 codes: owner * pool size + candidate.
        counts: Number of excluded candidates of each owner.
        weights: Their summed weight, per owner.
    """

    codes: Ints
    counts: Ints
    weights: Ints


def exclusion(owners: Ints, candidates: Ints, n_owners: int, pool: Pool) -> Exclusion:
    """Build an exclusion from distinct (owner, candidate) pairs, sorted by owner, then candidate."""
    counts = np.bincount(owners, minlength=n_owners).astype(np.int64)
    sums = np.concatenate([[0], np.cumsum(pool.weight_of(candidates))])
    ends = np.cumsum(counts)
    return Exclusion(owners * pool.size + candidates, counts, sums[ends] - sums[ends - counts])


def draw_distinct(
    owners: Ints, slot_states: Words, owner_states: Words, pool: Pool, excluded: Exclusion
) -> Ints:
    """Draw a candidate for each slot, distinct within the owner and never an excluded one.

    Args:
        owners: Owner of each slot, ascending from 0; an owner's slots stand in slot order.
        slot_states: Hash state of each slot; distinct states give independent proposals.
        owner_states: Hash state of each owner, of another domain than the slots'.
        pool: The candidates.
        excluded: What each owner must not draw.

    Returns:
        Index into the pool per slot; -1 for the last slots of an owner with more slots than
        candidates left.
    """
    drawn = np.full(len(owners), -1, dtype=np.int64)
    left = pool.size - excluded.counts
    wanted = np.bincount(owners, minlength=len(left))
    place = np.arange(len(owners)) - (np.cumsum(wanted) - wanted)[owners]
    fillable = place < left[owners]
    total = pool.total
    dense = (2 * np.minimum(wanted, left) > left) | (total - excluded.weights < total // 8)
    accepted = _propose(
        drawn, np.flatnonzero(fillable & ~dense[owners]), owners, slot_states, pool, excluded
    )
    rest = np.flatnonzero(fillable & (drawn < 0))
    if rest.size:
        _fill_exactly(drawn, rest, owners, owner_states, pool, (excluded.codes, accepted))
    return drawn


def _propose(  # arrays of one kernel
    drawn: Ints, pending: Ints, owners: Ints, slot_states: Words, pool: Pool, excluded: Exclusion
) -> Ints:
    """Fill slots by rounds of proposals; return the accepted codes, ascending."""
    accepted = np.empty(0, dtype=np.int64)
    total = pool.total
    steps = None if pool.weights is None else np.cumsum(pool.weights)
    for attempt in range(ROUNDS):
        if pending.size == 0:
            break
        proposals = scale(fold(slot_states[pending], np.uint64(attempt)), total).astype(np.int64)
        if steps is not None:
            proposals = np.searchsorted(steps, proposals, side="right")
        codes = owners[pending] * pool.size + proposals
        free = np.flatnonzero(~contains(excluded.codes, codes) & ~contains(accepted, codes))
        # of equal codes np.unique names the first, which is the first slot
        new, first = np.unique(codes[free], return_index=True)
        taken = free[first]
        drawn[pending[taken]] = proposals[taken]
        accepted = np.sort(np.concatenate([accepted, new]), kind="stable")
        pending = np.delete(pending, taken)
    return accepted


def _fill_exactly(  # arrays of one kernel
    drawn: Ints,
    rest: Ints,
    owners: Ints,
    owner_states: Words,
    pool: Pool,
    banned: tuple[Ints, ...],
) -> None:
    """Fill the slots `rest` with the smallest keys among what their owners have left."""
    who, first, counts = np.unique(owners[rest], return_index=True, return_counts=True)
    rows_per_block = max(1, _BLOCK // pool.size)
    for low in range(0, len(who), rows_per_block):
        block = who[low : low + rows_per_block]
        words = fold(owner_states[block][:, None], pool.hashes[None, :])
        keys: npt.NDArray[Any]
        if pool.weights is None:
            keys = (words >> np.uint64(1)).astype(np.int64)
            never: float | int = np.iinfo(np.int64).max
        else:
            uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
            keys = -np.log(uniform) / pool.weights
            never = np.inf
        for codes in banned:
            starts = np.searchsorted(codes, block * pool.size)
            lengths = np.searchsorted(codes, (block + 1) * pool.size) - starts
            rows = np.repeat(np.arange(len(block)), lengths)
            keys[rows, codes[spans(starts, lengths)] % pool.size] = never
        needs = counts[low : low + len(block)]
        order = np.argsort(keys, axis=1, kind="stable")[:, : needs.max()]
        slots = spans(first[low : low + len(block)], needs)
        nth = spans(np.zeros(len(block), dtype=np.int64), needs)
        drawn[rest[slots]] = order[np.repeat(np.arange(len(block)), needs), nth]
