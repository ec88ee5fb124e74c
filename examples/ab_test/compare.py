"""Two arms over the same users: recall of each, and the difference, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy.typing as npt

    Numbers: TypeAlias = npt.NDArray[Any]

ROUNDS = 2000
_CHUNK = 200  # rounds at a time: the drawn weights are rounds by users


@dataclass(frozen=True)
class Estimate:
    """A share or a difference of shares, with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        """Whether the interval holds 0."""
        return self.low <= 0 <= self.high


def by_user(users: Numbers, found: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Sum up held-out positives by user.

    Args:
        users: User of each positive, shape (n,).
        found: Whether each positive was found, bool, shape (n,).

    Returns:
        The distinct users, sorted; their hits; their positives (int64).
    """
    distinct, place = np.unique(users, return_inverse=True)
    hits = np.bincount(place, weights=found, minlength=len(distinct)).astype(np.int64)
    return distinct, hits, np.bincount(place, minlength=len(distinct)).astype(np.int64)


def recall(hits: Numbers, positives: Numbers, seed: int = 1) -> Estimate:
    """Return hits over positives; users are drawn with replacement for the interval.

    A user's positives stay together: they are not independent of one another.

    Args:
        hits: Found positives by user, shape (users,).
        positives: Positives by user, shape (users,), at least 1 each.
        seed: Of the draws.
    """
    if not len(positives):
        return Estimate(0.0, 0.0, 0.0)
    drawn = _drawn([hits], positives, seed)[0]
    return _estimate(hits.sum() / positives.sum(), drawn)


def paired_difference(
    control: Numbers, new: Numbers, positives: Numbers, seed: int = 1
) -> Estimate:
    """Return the recall of the new arm less that of control, over the same users and positives.

    Each draw of users counts in both arms, so that what makes a user easy or hard cancels out.

    Args:
        control: Positives that control found, by user, shape (users,).
        new: Those that the new arm found, in the same order of users.
        positives: Positives by user, at least 1 each.
        seed: Of the draws.
    """
    if not len(positives):
        return Estimate(0.0, 0.0, 0.0)
    before, after = _drawn([control, new], positives, seed)
    return _estimate((new.sum() - control.sum()) / positives.sum(), after - before)


def unpaired_difference(
    control: tuple[Numbers, Numbers], new: tuple[Numbers, Numbers], seed: int = 1
) -> Estimate:
    """Return the same where each arm has users of its own, as in a live test.

    Args:
        control: Hits and positives by user of control's users.
        new: Hits and positives by user of the new arm's.
        seed: Of the draws.
    """
    if not (len(control[1]) and len(new[1])):
        return Estimate(0.0, 0.0, 0.0)
    before = _drawn([control[0]], control[1], seed)[0]
    after = _drawn([new[0]], new[1], seed + 1)[0]
    share = new[0].sum() / new[1].sum() - control[0].sum() / control[1].sum()
    return _estimate(share, after - before)


def _drawn(arms: list[Numbers], positives: Numbers, seed: int) -> list[Numbers]:
    """Return the recall of each arm in each round, over the same drawn users."""
    random = np.random.default_rng(seed)
    users = len(positives)
    even = np.full(users, 1 / users)
    rounds: list[list[Numbers]] = [[] for _ in arms]
    for _ in range(ROUNDS // _CHUNK):
        weights = random.multinomial(users, even, _CHUNK)
        total = weights @ positives
        for found, arm in zip(rounds, arms, strict=True):
            found.append(weights @ arm / total)
    return [np.concatenate(found) for found in rounds]


def _estimate(value: float, drawn: Numbers) -> Estimate:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))
