from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from recsys_pipeline.transforms import successive_sampling
from recsys_pipeline.transforms.stable_hash import fold, start
from recsys_pipeline.transforms.successive_sampling import Pool, draw_distinct, exclusion

N_OWNERS = 6000


def _draw(weights, n_slots, banned):
    """Draw for many owners who all exclude the same candidates."""
    size = len(weights)
    hashes = fold(start(5), np.arange(size))
    pool = Pool(hashes, None if len(set(weights)) == 1 else np.array(weights))
    owners = np.repeat(np.arange(N_OWNERS), n_slots)
    who = np.repeat(np.arange(N_OWNERS), len(banned))
    excluded = exclusion(who, np.tile(np.array(banned, dtype=np.int64), N_OWNERS), N_OWNERS, pool)
    slots = fold(start(6), np.arange(len(owners)))
    states = fold(start(7), np.arange(N_OWNERS))
    return draw_distinct(owners, slots, states, pool, excluded).reshape(N_OWNERS, n_slots)


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
def test_sets_follow_successive_sampling_on_every_path(
    monkeypatch, rounds, weights, n_slots, banned
):
    monkeypatch.setattr(successive_sampling, "ROUNDS", rounds)
    drawn = _draw(weights, n_slots, banned)
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


def test_small_blocks_of_the_exact_path_change_nothing(monkeypatch):
    whole = _draw([3, 1, 4, 1, 5], 4, [1])
    monkeypatch.setattr(successive_sampling, "_BLOCK", 11)
    assert np.array_equal(whole, _draw([3, 1, 4, 1, 5], 4, [1]))


def test_slots_beyond_what_is_left_are_the_last_and_short():
    drawn = _draw([1, 2, 3], 4, [0])
    assert (drawn[:, :2] > 0).all()
    assert (drawn[:, 2:] == -1).all()
