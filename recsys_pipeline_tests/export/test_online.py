from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.export import OnlineNegativeSampler, iter_batches, open_release
from recsys_pipeline.transforms.popularity import popularity_weights
from recsys_pipeline_tests.releases import release, small_root

NONE = np.empty(0, np.int64)


def ints(values):
    return np.array(values, np.int64)


pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(2, 9)), max_size=25)


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.integers(2, 9), min_size=1),
    pairs,
    pairs.filter(len),
    st.integers(1, 6),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_draws_are_distinct_not_met_and_whole(candidates, met, rows, ratio, weighted, random):
    candidates = ints(sorted(candidates))
    weights = candidates * 3 if weighted else NONE
    users, items = ints([u for u, _ in met]), ints([i for _, i in met])
    sampler = OnlineNegativeSampler(candidates, (users, items), weights, 7)
    asked = ints([u for u, _ in rows]), ints([i for _, i in rows])
    drawn, of_all, of_left = sampler.draw(*asked, ratio, epoch=3)
    whole = weights.sum() if weighted else len(candidates)
    for row, (user, _) in enumerate(rows):
        free = set(candidates.tolist()) - {i for u, i in met if u == user}
        found = drawn[row][drawn[row] > 0].tolist()
        assert len(found) == len(set(found)) == min(ratio, len(free))
        assert set(found) <= free
        left = sum(3 * i if weighted else 1 for i in free)
        for item, one, other in zip(drawn[row], of_all[row], of_left[row], strict=True):
            weight = (3 * int(item) if weighted else 1) if item else 0
            assert one == pytest.approx(weight / whole)
            assert other == pytest.approx(weight / left if weight else 0)
    # neither the size of a call nor what else is in it changes a row, but repeats of its own
    distinct = list(dict.fromkeys(rows))
    random.shuffle(distinct)
    for user, item in distinct:
        again, _, _ = sampler.draw(ints([user]), ints([item]), ratio, epoch=3)
        assert np.array_equal(again[0], drawn[rows.index((user, item))])


def test_another_epoch_draws_others_and_the_same_one_the_same():
    sampler = OnlineNegativeSampler(np.arange(2, 1000), (NONE, NONE), NONE, 1)
    users, items = np.arange(50), np.full(50, 5)
    first, again, other = (sampler.draw(users, items, 4, epoch)[0] for epoch in (0, 0, 1))
    assert np.array_equal(first, again)
    assert (first != other).mean() > 0.9


@pytest.mark.parametrize("weighted", [False, True])
def test_draws_have_the_stated_distribution(weighted):
    """Chi-square at a fixed seed: what the user has met is left out, the rest keeps its shares."""
    candidates = np.arange(2, 12)
    weights = popularity_weights(candidates**2, 0.75) if weighted else NONE
    met = {3, 7}
    sampler = OnlineNegativeSampler(
        candidates, (np.zeros(2, np.int64), ints(sorted(met))), weights, 5
    )
    count = 20_000
    drawn, _, of_left = sampler.draw(np.zeros(count, np.int64), np.arange(count), 1)
    share = {int(item): float(p) for item, p in zip(drawn[:, 0], of_left[:, 0], strict=True)}
    assert set(share) == set(candidates.tolist()) - met
    assert sum(share.values()) == pytest.approx(1)
    observed = Counter(drawn[:, 0].tolist())
    chi = sum((observed[i] - count * p) ** 2 / (count * p) for i, p in share.items())
    assert chi < 24.3  # 7 degrees of freedom, p = 0.001


@pytest.mark.parametrize("strategy", ["uniform", "popularity"])
def test_of_a_release(tmp_path, strategy):
    opened = open_release(release(small_root(tmp_path)).uri)
    sampler = OnlineNegativeSampler.of(opened, strategy=strategy, seed=3)
    seen = set()
    for rows in iter_batches(opened, "train", 1000, ["user_index", "item_index", "label"]):
        positive = rows["label"] == 1
        seen |= set(
            zip(
                rows["user_index"][positive].tolist(),
                rows["item_index"][positive].tolist(),
                strict=True,
            )
        )
    users, items = (ints(column) for column in zip(*sorted(seen), strict=True))
    drawn, of_all, of_left = sampler.draw(users, items, 2)
    known = set(opened.vocabulary("items")["index"])
    for user, row in zip(users.tolist(), drawn.tolist(), strict=True):
        for item in filter(None, row):
            assert item in known
            assert (user, item) not in seen
    assert (of_left >= of_all).all()
    with pytest.raises(ReleaseError, match="'hard' is none"):
        OnlineNegativeSampler.of(opened, strategy="hard")
    with pytest.raises(ReleaseError, match="'viewed' needs all that users viewed"):
        OnlineNegativeSampler.of(opened, strategy="viewed")


def test_an_erased_item_is_not_drawn(tmp_path):
    opened = open_release(release(small_root(tmp_path)).uri)
    whole = opened.vocabulary("items")
    erased = whole.with_columns(
        pl.when(pl.col("index") == 2).then(None).otherwise(pl.col("id")).alias("id")
    )
    object.__setattr__(opened, "vocabulary", lambda *_: erased)
    sampler = OnlineNegativeSampler.of(opened)
    drawn, _, _ = sampler.draw(np.arange(100), np.arange(100), 3)
    assert 2 not in drawn
