"""Strategies whose draws choose among sources: `category`, `viewed` and `mixed`."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_pipeline.transforms import negatives
from recsys_pipeline.transforms.mixture import source_shares
from recsys_pipeline_tests import oracles
from recsys_pipeline_tests.transforms import strategies as world
from recsys_pipeline_tests.transforms.test_negatives import config_of, drawn, event

CHOOSING = ("category", "viewed", "mixed")
MIX = (("category", 0.2), ("popularity", 0.3), ("uniform", 0.5))
WITH_VIEWED = (*MIX, ("viewed", 0.25))
# chi-square, p = 0.001, by degrees of freedom
BOUND = {1: 10.83, 2: 13.82, 4: 18.47, 6: 22.46}


def listed(item, category="Audio", day=0, *, available=True):
    rest = dict.fromkeys(["updated_at", "brand", "price", "description", "attributes"])
    own = {"item_id": item, "category": category, "available": available, "title": "t"}
    return {"date": world.DAYS[day], "tenant": "acme", **own, **rest}


def assert_equals_the_oracle(computed, events, versions, config):
    rows, short = oracles.negatives(oracles.positives(events, config), events, versions, config)
    expected = pl.DataFrame(rows, schema=computed.rows.schema)
    chances = ["sampling_probability", "conditional_probability"]
    assert_frame_equal(computed.rows.drop(chances), expected.drop(chances))
    for name in chances:
        found = computed.rows[name].to_numpy()
        np.testing.assert_allclose(found, expected[name].to_numpy(), rtol=1e-12, atol=0)
        assert ((found > 0) & (found <= 1)).all()
    missing = {(t, d): n for (d, t), n in short.items()}
    assert {(t, d): n for t, d, n in computed.shortfall.iter_rows()} == missing


@settings(max_examples=30, deadline=None)
@given(world.events(), world.day_versions(), world.configs(CHOOSING))
def test_rows_and_probabilities_equal_the_oracle(events, versions, config):
    computed = drawn(events, versions, config)
    assert_equals_the_oracle(computed, events, versions, config)
    keys = computed.rows.select("tenant", "date", "user_id", "item_id")
    assert not keys.is_duplicated().any()


@settings(max_examples=10, deadline=None)
@given(
    world.events(),
    world.day_versions(),
    world.configs(CHOOSING),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_order_passes_buckets_and_parts_change_nothing(events, versions, config, random, size):
    whole = drawn(events, versions, config)
    shuffled = drawn(random.sample(events, len(events)), versions[::-1], config)
    assert_frame_equal(whole.rows, shuffled.rows, check_exact=True)
    divided = drawn(events, versions, config, cuts=random.sample(world.DAYS, 3))
    assert_frame_equal(whole.rows, divided.rows, check_exact=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(negatives, "_PART", size)
        parts = drawn(events, versions, config, cuts=random.sample(world.DAYS, 1))
    assert_frame_equal(whole.rows, parts.rows, check_exact=True)
    assert_frame_equal(whole.shortfall, parts.shortfall)


@pytest.mark.parametrize("strategy", CHOOSING)
@pytest.mark.parametrize("rounds", [0, 32])
def test_a_wider_catalogue_equals_the_oracle(strategy, rounds, monkeypatch):
    """Most draws are proposals of the first rounds; with few rounds most are counted out."""
    monkeypatch.setattr("recsys_pipeline.kernels.sampling.ROUNDS", rounds)
    monkeypatch.setattr(oracles.draw_mixed, "__defaults__", (rounds,))
    random = np.random.default_rng(5)
    events = [
        event(f"u{user}", f"i{item}", int(day), kind)
        for user, item, day, kind in zip(
            random.integers(0, 8, 300),
            np.minimum(random.zipf(1.3, 300), 60),
            random.integers(0, 3, 300),
            random.choice(["view", "view", "click"], 300),
            strict=True,
        )
    ]
    versions = [listed(f"i{n}", f"c{n % 7}") for n in range(80) if n % 9]
    mix = WITH_VIEWED if strategy == "mixed" else ()
    config = {"acme": config_of(ratio=3, strategy=strategy, mix=mix, level="event")}
    computed = drawn(events, versions, config)
    assert computed.rows["negative_source"].n_unique() == (4 if strategy == "mixed" else 2)
    assert_equals_the_oracle(computed, events, versions, config)


@pytest.mark.parametrize(
    ("strategy", "digest"),
    [
        ("uniform", "79453a412b93c2cc"),
        ("popularity", "1359411f7abfecfe"),
        ("category", "e0e62939f39cf897"),
        ("mixed", "d7da4d02cc7760a7"),
    ],
)
def test_published_rows_are_made_again(strategy, digest):
    """Whatever changes these, makes what is published differ from what a run would make of it."""
    events = [
        event(f"u{n % 7}", f"i{n * n % 31}", n % 4, ("view", "click", "purchase")[n % 3])
        for n in range(200)
    ]
    versions = [listed(f"i{n}", f"c{n % 5}") for n in range(40) if n % 9]
    mix = MIX if strategy == "mixed" else ()
    config = {"acme": config_of(ratio=3, strategy=strategy, mix=mix)}
    rows = drawn(events, versions, config, cuts=world.DAYS[:2]).rows
    assert blake2b(rows.write_csv().encode(), digest_size=8).hexdigest() == digest


def _one_draw(n_users, catalogue, **changes):
    """Every user has viewed `b` and `g` and clicks `x` on the last day; items differ in counts."""
    counts = {"a": 1, "b": 3, "c": 7, "d": 15, "e": 31, "f": 1, "g": 2, "x": 63}
    history = [event(f"h{n}", i, 0, "view") for i, count in counts.items() for n in range(count)]
    clicks = [event(f"u{n}", "x", 1) for n in range(n_users)]
    seen = [event(f"u{n}", item, 1, "view") for n in range(n_users) for item in "bg"]
    given_values = {"ratio": 1, "alpha": 1.0, "seed": 11} | changes
    config = {"acme": config_of(**given_values)}
    return drawn(history + clicks + seen, catalogue, config).rows


ALIKE = [listed(item) for item in "xacgf"] + [listed(item, "Gaming") for item in "bde"]
OPEN = "acdef"
POPULAR = {"a": 2, "c": 8, "d": 16, "e": 32, "f": 2, "b": 4, "g": 3}  # of 131; of OPEN 60
OF_CATEGORY = {"a": 1 / 3, "c": 1 / 3, "f": 1 / 3}  # with `g` and `x` before exclusion


def _stated(shares):
    """Return both probabilities of each item by hand."""
    uniform, popular, alike, viewed = shares
    after = {
        i: uniform / 5 + popular * POPULAR[i] / 60 + alike * OF_CATEGORY.get(i, 0) for i in OPEN
    }
    after |= dict.fromkeys("bg", viewed / 2)
    before = {i: uniform / 8 + popular * POPULAR[i] / 131 + alike * (i in "acfg") / 5 for i in OPEN}
    before |= {
        i: uniform / 8 + popular * POPULAR[i] / 131 + alike * (i in "acfg") / 5 + viewed / 2
        for i in "bg"
    }
    return before, {item: chance for item, chance in after.items() if chance}


@pytest.mark.parametrize("users", [500, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("changes", "catalogue", "shares"),
    [
        ({"strategy": "category"}, ALIKE, (0, 0, 1, 0)),
        ({"strategy": "category"}, [], (1, 0, 0, 0)),
        ({"strategy": "viewed"}, ALIKE, (0, 0, 0, 1)),
        ({"strategy": "mixed", "mix": MIX}, ALIKE, (0.5, 0.3, 0.2, 0)),
        ({"strategy": "mixed", "mix": MIX}, [], (0.625, 0.375, 0, 0)),
        ({"strategy": "mixed", "mix": WITH_VIEWED}, ALIKE, (0.4, 0.24, 0.16, 0.2)),
        # all of the positive's category has been met
        ({"strategy": "mixed", "mix": MIX}, [listed("x"), listed("b")], (0.625, 0.375, 0, 0)),
        ({"strategy": "mixed", "mix": (("popularity", 7.0),)}, ALIKE, (0, 1, 0, 0)),
    ],
)
def test_draws_follow_the_stated_conditional_distribution(changes, catalogue, shares, users):
    rows = _one_draw(users, catalogue, **changes)
    assert rows.height == users
    before, after = _stated(shares)
    for column, expected in (("sampling_probability", before), ("conditional_probability", after)):
        found = dict(rows.select("item_id", column).unique().iter_rows())
        assert found == pytest.approx({item: expected[item] for item in after}, rel=1e-9)
    observed = dict(rows.group_by("item_id").len().iter_rows())
    assert set(observed) == set(after)
    statistic = sum(
        (observed[i] - users * chance) ** 2 / (users * chance) for i, chance in after.items()
    )
    assert statistic < BOUND[len(after) - 1]
    sources = Counter(rows["negative_source"])
    for source, share in zip(world.SOURCES, shares, strict=True):
        assert sources[source] / users == pytest.approx(share, abs=1.65 / users**0.5)


@pytest.mark.parametrize("users", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rounds", [0, 32])
def test_pairs_of_draws_follow_successive_sampling_whatever_the_rounds(rounds, users, monkeypatch):
    """What is counted out has the law of what is proposed: two draws of a mix, by source and item."""
    monkeypatch.setattr("recsys_pipeline.kernels.sampling.ROUNDS", rounds)
    mix = (("popularity", 1.0), ("uniform", 1.0))
    rows = _one_draw(users, [], strategy="mixed", mix=mix, ratio=2)
    pairs = rows.group_by("user_id", maintain_order=True).agg(pl.col("item_id"))["item_id"]
    observed = Counter(tuple(pair) for pair in pairs.to_list())
    statistic = 0.0
    for one in OPEN:
        first = 0.5 / 5 + 0.5 * POPULAR[one] / 60
        for two in OPEN:
            if one == two:
                assert (one, two) not in observed
                continue
            second = 0.5 / 4 + 0.5 * POPULAR[two] / (60 - POPULAR[one])
            expected = users * first * second
            statistic += (observed[one, two] - expected) ** 2 / expected
    assert statistic < 43.82  # chi-square, 19 degrees of freedom, p = 0.001


def test_a_category_used_up_falls_back_to_uniform_and_says_so():
    events = [event("u1", "x"), *(event("h", item, 0, "view") for item in "abcde")]
    versions = [listed(item) for item in "xab"]
    rows = drawn(events, versions, {"acme": config_of(strategy="category", ratio=9)}).rows
    assert rows["negative_source"].to_list() == ["category"] * 2 + ["uniform"] * 3
    assert sorted(rows["item_id"][:2]) == ["a", "b"]
    assert rows["sampling_probability"].to_list() == [1 / 3] * 2 + [1 / 6] * 3
    assert rows["conditional_probability"].to_list() == [1 / 2] * 2 + [1 / 5] * 3


def viewing(user, *items, day=0):
    return [event(user, item, day, "view") for item in items]


def test_what_was_viewed_used_up_falls_back_to_uniform_and_says_so():
    events = [event("u1", "x"), *viewing("u1", "a", "b"), *viewing("h", "c", "d")]
    computed = drawn(events, [], {"acme": config_of(strategy="viewed", ratio=9)})
    rows = computed.rows
    assert rows["negative_source"].to_list() == ["viewed"] * 2 + ["uniform"] * 2
    assert sorted(rows["item_id"][:2]) == ["a", "b"]
    assert rows["sampling_probability"].to_list() == [1 / 2] * 2 + [1 / 5] * 2
    assert rows["conditional_probability"].to_list() == [1 / 2] * 4
    assert computed.shortfall["shortfall"].to_list() == [5]


def test_what_was_viewed_is_drawn_where_nothing_else_is_left():
    events = [event("u1", "x"), *viewing("u1", "a", "b"), *viewing("h", "c")]
    mix = (("uniform", 1.0), ("viewed", 1e-12))
    computed = drawn(events, [], {"acme": config_of(strategy="mixed", mix=mix, ratio=4)})
    rows = computed.rows
    assert rows["negative_source"].to_list() == ["uniform", "viewed", "viewed"]
    for column, first in (("sampling_probability", 1 / 4), ("conditional_probability", 1)):
        assert rows[column].to_list() == pytest.approx([first, 1 / 2, 1 / 2])
    assert computed.shortfall["shortfall"].to_list() == [1]


def test_without_a_view_the_weight_of_viewed_is_the_others_or_uniforms():
    events = [event("u1", "x"), event("u1", "a"), *viewing("h", "b", "c")]
    rows = drawn(events, [], {"acme": config_of(strategy="viewed", ratio=1)}).rows
    assert rows["negative_source"].unique().to_list() == ["uniform"]
    mix = (("popularity", 1.0), ("viewed", 1e6))
    rows = drawn(events, [], {"acme": config_of(strategy="mixed", mix=mix, ratio=1)}).rows
    assert rows["negative_source"].unique().to_list() == ["popularity"]
    assert rows["conditional_probability"].to_list() == [1 / 2] * 2


@pytest.mark.parametrize("cuts", [(), world.DAYS[:4]])
@pytest.mark.parametrize("more", ["click", "like", "add_to_cart", "purchase"])
def test_an_item_is_only_viewed_until_the_day_of_another_event(more, cuts):
    """Whether or not that event is a positive, at whatever time of the day it was."""
    events = [event("u1", "x", day, "purchase") for day in range(4)]
    events += [*viewing("u1", "a"), *viewing("u1", "a", day=3), *viewing("h", "c")]
    events.append(event("u1", "a", 2, more))
    chosen = config_of(strategy="viewed", ratio=1, positive_types=("purchase",))
    rows = drawn(events, [], {"acme": chosen}, cuts=cuts).rows
    found = [(row["date"], row["item_id"], row["negative_source"]) for row in rows.to_dicts()]
    assert sorted(set(found)) == [
        (world.DAYS[0], "a", "viewed"),
        (world.DAYS[1], "a", "viewed"),
        (world.DAYS[2], "c", "uniform"),
        (world.DAYS[3], "c", "uniform"),
    ]


def test_the_category_is_the_one_at_the_end_of_the_day():
    events = [event("u1", "x", day) for day in range(3)]
    events += [event("h", item, 0, "view") for item in "ab"]
    versions = [
        listed("x"),
        listed("a"),
        listed("b", "Gaming"),
        listed("x", "Gaming", day=1),
        listed("b", "Gaming", day=2, available=False),  # it has events: a candidate still
    ]
    rows = drawn(events, versions, {"acme": config_of(strategy="category", ratio=1)}).rows
    assert rows["item_id"].to_list() == ["a", "b", "b"]
    assert rows["negative_source"].unique().to_list() == ["category"]


def test_weights_are_whole_exact_and_never_zero():
    def shares(*mix):
        return source_shares(config_of(strategy="mixed", mix=mix)).tolist()

    assert shares(("uniform", 1.0), ("popularity", 3.0)) == [2**38, 3 * 2**38, 0, 0]
    assert shares(("uniform", 1e-30), ("category", 1.0)) == [1, 0, 2**40, 0]
    assert source_shares(config_of(strategy="category")).tolist() == [0, 0, 2**40, 0]
    assert source_shares(config_of(strategy="viewed")).tolist() == [0, 0, 0, 2**40]
