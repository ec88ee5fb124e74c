from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from recsys_pipeline.kernels.sampling import ROUNDS, draw_distinct
from recsys_pipeline.transforms.stable_hash import fold, start

N_OWNERS = 6000


def _draw(weights, n_slots, banned, rounds=ROUNDS):
    """Draw for many owners who all exclude the same candidates."""
    size = len(weights)
    drawn, left = draw_distinct(
        np.arange(N_OWNERS + 1),
        fold(start(6), np.arange(N_OWNERS)),
        np.zeros(N_OWNERS, np.int64),
        n_slots,
        fold(start(7), np.arange(N_OWNERS)),
        np.arange(N_OWNERS + 1) * len(banned),
        np.tile(np.array(banned, dtype=np.int64), N_OWNERS),
        fold(start(5), np.arange(size)),
        np.array([] if len(set(weights)) == 1 else weights, dtype=np.int64),
        rounds,
    )
    mass = size if len(set(weights)) == 1 else sum(weights)
    out = len(banned) if len(set(weights)) == 1 else sum(weights[i] for i in banned)
    assert set(left) == {mass - out}
    return drawn.reshape(N_OWNERS, n_slots)


def _expected_sets(weights, n_slots, banned):
    """Probability of each set under successive sampling, by enumeration of its orders."""
    left = [i for i in range(len(weights)) if i not in banned]
    expected = {}
    for order in permutations(left, n_slots):
        chance, mass = 1.0, sum(weights[i] for i in left)
        for i in order:
            chance *= weights[i] / mass
            mass -= weights[i]
        expected[frozenset(order)] = expected.get(frozenset(order), 0) + chance
    return expected


@pytest.mark.parametrize("rounds", [0, 1, 32])
@pytest.mark.parametrize(
    ("weights", "n_slots", "banned"),
    [
        ([1] * 7, 2, [0, 3]),
        ([1] * 7, 3, [6]),
        ([1, 2, 3, 4, 5, 6, 7], 2, [2]),
        ([1, 1, 1, 1, 1, 60], 2, []),
        ([1, 2, 3, 4, 5, 900], 2, [5]),  # nearly all mass excluded
        ([3, 1, 4, 1, 5], 4, []),  # nearly everything drawn
    ],
)
def test_sets_follow_successive_sampling_on_every_path(rounds, weights, n_slots, banned):
    drawn = _draw(weights, n_slots, banned, rounds)
    expected = _expected_sets(weights, n_slots, banned)
    observed = {}
    for row in drawn.tolist():
        observed[frozenset(row)] = observed.get(frozenset(row), 0) + 1
    assert set(observed) <= set(expected)
    statistic = sum(
        (observed.get(key, 0) - N_OWNERS * p) ** 2 / (N_OWNERS * p) for key, p in expected.items()
    )
    freedom = len(expected) - 1
    # the Wilson-Hilferty bound of chi-square at z = 4
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 4 * (2 / (9 * freedom)) ** 0.5) ** 3


def test_slots_beyond_what_is_left_are_the_last_and_short():
    drawn = _draw([1, 2, 3], 4, [0])
    assert (drawn[:, :2] > 0).all()
    assert (drawn[:, 2:] == -1).all()
