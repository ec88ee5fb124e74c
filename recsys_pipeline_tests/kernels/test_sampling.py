from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.kernels.sampling import ROUNDS, alias_table, draw_distinct
from recsys_pipeline.transforms.stable_hash import fold, start
from recsys_pipeline_tests.oracles import alias_columns, words_of

N_OWNERS = 6000


def _draw(weights, n_slots, banned, rounds=ROUNDS):
    """Draw for many owners who all exclude the same candidates."""
    size = len(weights)
    given = np.array([] if len(set(weights)) == 1 else weights, dtype=np.int64)
    drawn, left = draw_distinct(
        np.arange(N_OWNERS + 1),
        fold(start(6), np.arange(N_OWNERS)),
        np.zeros(N_OWNERS, np.int64),
        n_slots,
        fold(start(7), np.arange(N_OWNERS)),
        np.arange(N_OWNERS + 1) * len(banned),
        np.tile(np.array(banned, dtype=np.int64), N_OWNERS),
        fold(start(5), np.arange(size)),
        given,
        alias_table(given),
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


def _words(table):
    """Return the words of each candidate, summed over the table's columns."""
    pairs = table.reshape(-1, 2).tolist()
    full, found = 2**64 // len(pairs), [0] * len(pairs)
    for column, (threshold, alias) in enumerate(pairs):
        found[column] += threshold
        found[alias] += full - threshold
    return found


_WEIGHTS = st.one_of(
    st.lists(st.integers(1, limit), min_size=1, max_size=40) for limit in (1, 3, 1000, 2**57)
)


@given(_WEIGHTS)
def test_a_table_gives_each_candidate_its_share_of_the_words(weights):
    found = _words(alias_table(np.array(weights)))
    assert found[: len(weights)] == words_of(weights)
    assert not any(found[len(weights) :])
    for words, weight in zip(found, weights, strict=False):
        error = Fraction(words, 2**64) - Fraction(weight, sum(weights))
        assert abs(error) < Fraction(1, 2**64)


@given(_WEIGHTS, st.integers(0, 62))
def test_a_total_that_is_a_power_of_two_has_no_error(weights, bits):
    total = 2 ** max(bits, (sum(weights)).bit_length())
    weights = [*weights, total - sum(weights)]
    found = _words(alias_table(np.array(weights)))
    chances = [Fraction(words, 2**64) for words in found[: len(weights)]]
    assert chances == [Fraction(weight, total) for weight in weights]


@given(_WEIGHTS.filter(lambda weights: len(weights) > 1))
def test_a_table_is_filled_in_the_stated_order(weights):
    table = alias_table(np.array(weights)).reshape(-1, 2)
    assert table.tolist() == [list(pair) for pair in alias_columns(weights)]


def test_weights_near_the_limit_of_integers():
    weights = [2**62, 2**62 - 2, 1]
    found = _words(alias_table(np.array(weights)))
    assert found[:3] == words_of(weights)


def test_popular_candidates_are_drawn_by_their_weights():
    """One draw for many owners, of more candidates than a round of chi-square could enumerate."""
    size, owners = 50, 200_000
    weights = (1 + np.arange(size) ** 2)[np.argsort(fold(start(1), np.arange(size)))]
    drawn, _ = draw_distinct(
        np.arange(owners + 1),
        fold(start(2), np.arange(owners)),
        np.zeros(owners, np.int64),
        1,
        fold(start(3), np.arange(owners)),
        np.zeros(owners + 1, np.int64),
        np.empty(0, np.int64),
        fold(start(4), np.arange(size)),
        weights,
        alias_table(weights),
        ROUNDS,
    )
    expected = owners * weights / weights.sum()
    statistic = ((np.bincount(drawn, minlength=size) - expected) ** 2 / expected).sum()
    assert statistic < 85.4  # chi-square, 49 degrees of freedom, p = 0.001
