from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_pipeline.transforms import negatives
from recsys_pipeline.transforms.sampling_config import SamplingConfig
from recsys_pipeline_tests import oracles
from recsys_pipeline_tests.transforms import strategies as world
from recsys_pipeline_tests.transforms.by_tenant import SHORTFALL, negatives_of


@dataclass
class Drawn:
    rows: pl.DataFrame
    shortfall: pl.DataFrame


def drawn(events, versions, config, days=None, cuts=()) -> Drawn:
    return Drawn(*negatives_of(events, versions, config, days, cuts))


def config_of(**changes) -> SamplingConfig:
    given_values = {
        "seed": 1,
        "ratio": 2,
        "strategy": "uniform",
        "alpha": 0.75,
        "positive_types": ("click", "purchase"),
        "level": "user_item_day",
    }
    return SamplingConfig(**(given_values | changes))


def event(user, item, day=0, kind="click", tenant="acme"):
    date = world.DAYS[day]
    return {
        "date": date,
        "tenant": tenant,
        "user_id": user,
        "item_id": item,
        "interaction_type": kind,
        "timestamp": oracles.day_start(date),
        "rating": None,
        "event_id": None,
        "context": None,
    }


@settings(max_examples=80, deadline=None)
@given(world.events(), world.day_versions(), world.configs())
def test_negatives_equal_the_oracle(events, versions, config):
    computed = drawn(events, versions, config)
    rows, short = oracles.negatives(oracles.positives(events, config), events, versions, config)
    assert_frame_equal(
        computed.rows, pl.DataFrame(rows, schema=computed.rows.schema), check_exact=True
    )
    expected = [(tenant, day, missing) for (day, tenant), missing in sorted(short.items())]
    assert_frame_equal(computed.shortfall, pl.DataFrame(expected, schema=SHORTFALL, orient="row"))


@settings(max_examples=20, deadline=None)
@given(world.events(), world.day_versions(), world.configs(), st.integers(1, 5))
def test_a_days_positives_may_be_drawn_for_in_parts(events, versions, config, size):
    whole = drawn(events, versions, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(negatives, "_PART", size)
        parts = drawn(events, versions, config)
    assert_frame_equal(parts.rows, whole.rows, check_exact=True)
    assert_frame_equal(parts.shortfall, whole.shortfall)


@settings(max_examples=40, deadline=None)
@given(world.events(), world.day_versions(), world.configs())
def test_negatives_are_new_distinct_and_counted(events, versions, config):
    computed = drawn(events, versions, config)
    rows = computed.rows.to_dicts()
    for row in rows:
        day, tenant = row["date"], row["tenant"]
        met = {
            e["item_id"]
            for e in events
            if e["tenant"] == tenant and e["user_id"] == row["user_id"] and e["date"] <= day
        }
        assert row["item_id"] not in met
        assert row["item_id"] in oracles.candidates(events, versions, tenant, day)
    keys = [(r["tenant"], r["date"], r["user_id"], r["item_id"]) for r in rows]
    assert len(keys) == len(set(keys))
    asked = sum(config[p["tenant"]].ratio for p in oracles.positives(events, config))
    assert computed.rows.height + computed.shortfall["shortfall"].sum() == asked


@settings(max_examples=15, deadline=None)
@given(world.events(), world.day_versions(), world.configs(), st.randoms(use_true_random=False))
def test_row_order_and_chunks_of_days_change_nothing(events, versions, config, random):
    whole = drawn(events, versions, config)
    shuffled = drawn(random.sample(events, len(events)), versions[::-1], config)
    assert_frame_equal(whole.rows, shuffled.rows, check_exact=True)
    days = [drawn(events, versions, config, [day]) for day in world.DAYS]
    assert_frame_equal(whole.rows, pl.concat([d.rows for d in days]), check_exact=True)
    assert_frame_equal(whole.shortfall, pl.concat([d.shortfall for d in days]))
    divided = drawn(events, versions, config, cuts=random.sample(world.DAYS, 3))
    assert_frame_equal(whole.rows, divided.rows, check_exact=True)
    assert_frame_equal(whole.shortfall, divided.shortfall)


def test_a_user_who_has_seen_everything_gets_a_stated_shortfall():
    events = [event("u1", item) for item in world.ITEMS]
    computed = drawn(events, [], {"acme": config_of(ratio=3)})
    assert computed.rows.is_empty()
    assert computed.shortfall["shortfall"].to_list() == [3 * len(world.ITEMS)]


def test_the_shortfall_falls_on_the_last_draws():
    events = [event("u1", "a"), event("u1", "b"), event("u2", "c"), event("u2", "d", kind="view")]
    computed = drawn(events, [], {"acme": config_of(ratio=2)})
    own = computed.rows.filter(pl.col("user_id") == "u1")
    assert sorted(own["item_id"]) == ["c", "d"]
    assert computed.shortfall["shortfall"].to_list() == [2]


def test_ratio_0_draws_nothing_and_misses_nothing():
    computed = drawn([event("u1", "a"), event("u2", "b")], [], {"acme": config_of(ratio=0)})
    assert computed.rows.is_empty()
    assert computed.shortfall["shortfall"].to_list() == [0]


def test_a_positive_whose_item_is_the_only_one_gets_a_shortfall():
    computed = drawn([event("u1", "a")], [], {"acme": config_of()})
    assert computed.rows.is_empty()
    assert computed.shortfall["shortfall"].to_list() == [2]


def test_catalogue_items_without_events_are_drawn_once_listed():
    version = {
        "date": world.DAYS[1],
        "tenant": "acme",
        "item_id": "new",
        "title": "t",
        "category": "Audio",
        "available": True,
    }
    events = [event("u1", "a", day) for day in range(3)]
    computed = drawn(events, [version], {"acme": config_of(ratio=1)})
    assert computed.rows["date"].to_list() == [world.DAYS[1], world.DAYS[2]]
    assert computed.rows["item_id"].unique().to_list() == ["new"]
    assert computed.rows["conditional_probability"].unique().to_list() == [1.0]
    withdrawn = version | {"date": world.DAYS[2], "available": False}
    after = drawn(events, [version, withdrawn], {"acme": config_of(ratio=1)})
    assert after.rows["date"].to_list() == [world.DAYS[1]]


def test_another_seed_draws_others():
    events = [event(f"u{n}", f"i{n}") for n in range(200)]
    one, two = (drawn(events, [], {"acme": config_of(seed=seed)}).rows for seed in (1, 2))
    assert one["item_id"].to_list() != two["item_id"].to_list()


def _world_of_one_draw(strategy, n_users):
    """Every user clicks `x` on the last day; before it, items differ in their counts."""
    history = [
        event(f"h{n}", item, 0, "view")
        for item, count in [("a", 1), ("b", 3), ("c", 7), ("d", 15), ("e", 31), ("f", 0), ("x", 63)]
        for n in range(count)
    ]
    history.append(event("h0", "f", 1, "view"))  # on the day itself: a candidate of count 0
    clicks = [event(f"u{n}", "x", 1) for n in range(n_users)]
    seen = [event(f"u{n}", "b", 1, "view") for n in range(n_users)]
    config = {"acme": config_of(ratio=1, strategy=strategy, alpha=1.0, seed=11)}
    return drawn(history + clicks + seen, [], config).rows


@pytest.mark.parametrize(
    ("strategy", "weights"),
    [
        ("uniform", {"a": 1, "c": 1, "d": 1, "e": 1, "f": 1}),
        ("popularity", {"a": 2, "c": 8, "d": 16, "e": 32, "f": 1}),
    ],
)
def test_draws_follow_the_stated_conditional_distribution(strategy, weights):
    rows = _world_of_one_draw(strategy, 8000)
    observed = dict(rows.group_by("item_id").len().iter_rows())
    assert set(observed) == set(weights)
    total = sum(weights.values())
    stated = dict(rows.select("item_id", "conditional_probability").unique().iter_rows())
    assert stated == pytest.approx({item: w / total for item, w in weights.items()})
    before = {"uniform": 7, "popularity": 2 + 4 + 8 + 16 + 32 + 1 + 64}[strategy]
    sampling = dict(rows.select("item_id", "sampling_probability").unique().iter_rows())
    assert sampling == pytest.approx({item: w / before for item, w in weights.items()})
    statistic = sum(
        (observed[i] - 8000 * w / total) ** 2 / (8000 * w / total) for i, w in weights.items()
    )
    assert statistic < 18.47  # chi-square, 4 degrees of freedom, p = 0.001


@pytest.mark.parametrize("strategy", ["uniform", "popularity"])
@pytest.mark.parametrize("level", ["user_item_day", "event"])
def test_a_wider_catalogue_equals_the_oracle(strategy, level):
    """Most draws here come from the rounds of proposals, with repeats to reject."""
    random = np.random.default_rng(3)
    events = [
        event(f"u{user}", f"i{item}", int(day), kind)
        for user, item, day, kind in zip(
            random.integers(0, 8, 400),
            np.minimum(random.zipf(1.3, 400), 60),
            random.integers(0, 3, 400),
            random.choice(["view", "view", "click"], 400),
            strict=True,
        )
    ]
    listed = {"date": world.DAYS[0], "tenant": "acme", "title": "t", "category": "Audio"}
    versions = [listed | {"item_id": f"i{n}", "available": True} for n in range(80)]
    full = [
        version | dict.fromkeys(["updated_at", "brand", "price", "description", "attributes"])
        for version in versions
    ]
    config = {"acme": config_of(ratio=3, strategy=strategy, level=level)}
    computed = drawn(events, full, config)
    rows, short = oracles.negatives(oracles.positives(events, config), events, full, config)
    assert_frame_equal(
        computed.rows, pl.DataFrame(rows, schema=computed.rows.schema), check_exact=True
    )
    assert computed.shortfall["shortfall"].to_list() == [short[key] for key in sorted(short)]
