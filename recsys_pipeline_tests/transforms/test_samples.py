from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.schemas.features import ITEM_FEATURE_NAMES, USER_FEATURE_NAMES
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import (
    CATALOGUE_FEATURES,
    SAMPLE_FEATURES,
    SAMPLE_KEYS,
    TrainingSample,
)
from recsys_pipeline.transforms import negatives
from recsys_pipeline.transforms.leakage import find_leaks
from recsys_pipeline.transforms.point_in_time import check_columns
from recsys_pipeline.transforms.sampling_config import SamplingConfig
from recsys_pipeline_tests import oracles
from recsys_pipeline_tests.transforms import by_tenant
from recsys_pipeline_tests.transforms import strategies as world
from recsys_pipeline_tests.transforms.test_negatives import event


@dataclass
class Samples:
    rows: pl.DataFrame
    shortfall: pl.DataFrame


def samples_of(
    events, versions, config, days=world.DAYS, columns=SAMPLE_FEATURES, cuts=()
) -> Samples:
    return Samples(*by_tenant.samples_of(events, versions, config, days, columns, cuts))


def expected_features(row, events, versions):
    users = oracles.features(events, "user_id", oracles.user_row)
    items = oracles.features(
        events, "item_id", lambda history: oracles.item_row(history, world.WEIGHTS)
    )
    found = {}
    for prefix, entity, rows, names, when in (
        ("user", "user_id", users, USER_FEATURE_NAMES, "as_of"),
        ("item", "item_id", items, ITEM_FEATURE_NAMES, "as_of"),
        ("item", "item_id", versions, CATALOGUE_FEATURES, "date"),
    ):
        keys = {"tenant": row["tenant"], entity: row[entity]}
        newest = oracles.newest_before(rows, row["date"], keys, when) or {}
        found |= {f"{prefix}_{name}": newest.get(name) for name in names}
    del found["user_recent_items"]
    return found


@settings(max_examples=30, deadline=None)
@given(world.events(25), world.day_versions(), world.configs())
def test_samples_are_positives_negatives_and_the_features_before_the_day(events, versions, config):
    computed = samples_of(events, versions, config)
    found = oracles.positives(events, config)
    negative, short = oracles.negatives(found, events, versions, config)
    nothing = dict.fromkeys(("negative_source", "sampling_probability", "conditional_probability"))
    rows = [
        {name: p[name] for name in p if name != "interaction_type"} | nothing | {"label": 1.0}
        for p in found
    ] + [n | {"label": 0.0} for n in negative]
    rows.sort(
        key=lambda r: (
            r["date"], r["tenant"], r["user_id"], r["timestamp"], -r["label"], r["item_id"]
        )
    )  # fmt: skip
    expected = pl.DataFrame(
        [row | expected_features(row, events, versions) for row in rows],
        schema=frame_schema(TrainingSample),
    )
    assert_frame_equal(computed.rows, expected, rel_tol=1e-15)
    assert computed.shortfall["shortfall"].sum() == sum(short.values())
    TrainingSample.to_schema().validate(computed.rows)


@settings(max_examples=12, deadline=None)
@given(world.events(), world.day_versions(), world.configs(), st.randoms(use_true_random=False))
def test_row_order_and_chunks_of_days_change_nothing(events, versions, config, random):
    whole = samples_of(events, versions, config).rows
    shuffled = samples_of(random.sample(events, len(events)), versions[::-1], config).rows
    assert_frame_equal(whole, shuffled, check_exact=True)
    days = [samples_of(events, versions, config, [day]).rows for day in world.DAYS]
    assert_frame_equal(whole, pl.concat(days), check_exact=True)
    divided = samples_of(events, versions, config, cuts=random.sample(world.DAYS, 3)).rows
    assert_frame_equal(whole, divided, check_exact=True)


@settings(max_examples=12, deadline=None)
@given(world.events(), world.day_versions(), world.configs(), st.integers(1, 5), st.booleans())
def test_parts_of_a_day_change_nothing(events, versions, config, size, divided):
    cuts = world.DAYS[1:3] if divided else ()
    whole = samples_of(events, versions, config, cuts=cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(negatives, "_PART", size)
        parts = samples_of(events, versions, config, cuts=cuts)
    assert_frame_equal(parts.rows, whole.rows, check_exact=True)
    assert_frame_equal(parts.shortfall, whole.shortfall)


@settings(max_examples=12, deadline=None)
@given(world.events(), world.day_versions(), world.configs(), st.sampled_from(world.DAYS))
def test_rows_of_later_days_change_nothing(events, versions, config, last):
    days = [day for day in world.DAYS if day <= last]
    past = [event for event in events if event["date"] <= last]
    listed = [version for version in versions if version["date"] <= last]
    assert_frame_equal(
        samples_of(events, versions, config, days).rows,
        samples_of(past, listed, config, days).rows,
        check_exact=True,
    )


@settings(max_examples=12, deadline=None)
@given(world.events(), world.configs())
def test_tenants_never_see_each_other(events, config):
    together = samples_of(events, [], config).rows
    apart = [
        samples_of([e for e in events if e["tenant"] == tenant], [], config).rows
        for tenant in world.TENANTS
    ]
    order = ["tenant", "date"]
    assert_frame_equal(
        together.sort(order, maintain_order=True),
        pl.concat(apart).sort(order, maintain_order=True),
        check_exact=True,
    )


@settings(max_examples=10, deadline=None)
@given(world.events(), world.configs())
def test_a_choice_of_features_keeps_the_keys(events, config):
    columns = ("item_price", "user_total_interactions")
    rows = samples_of(events, [], config, columns=columns).rows
    assert rows.columns == [*SAMPLE_KEYS, *columns]
    whole = samples_of(events, [], config).rows
    assert_frame_equal(rows, whole.select(rows.columns))


def test_no_input_gives_no_rows_of_the_right_schema():
    computed = samples_of([], [], {})
    assert computed.rows.schema == frame_schema(TrainingSample)
    assert computed.shortfall.is_empty()


def test_an_unknown_feature_column_is_named():
    with pytest.raises(SettingsError, match="user_recent_items"):
        check_columns(["user_recent_items"])


@settings(max_examples=30, deadline=None)
@given(world.events(), world.day_versions(), world.configs((*world.SOURCES, "mixed")))
def test_honest_samples_have_no_leak(events, versions, config):
    rows = samples_of(events, versions, config).rows
    assert find_leaks(rows, world.interaction_frame(events), 1000, 1).is_empty()


def _rows_with_history(config_ratio=1):
    config = {"acme": _config(config_ratio)}
    base = {"tenant": "acme", "rating": 4.0, "event_id": None, "context": None}
    events = [
        base
        | {
            "date": day,
            "user_id": user,
            "item_id": item,
            "interaction_type": "click",
            "timestamp": oracles.day_start(day) + timedelta(hours=3),
        }
        for day in world.DAYS
        for user, item in [("u1", "a"), ("u2", "b"), ("é", "z")]
    ]
    return samples_of(events, [], config).rows, world.interaction_frame(events)


def _config(ratio):
    return SamplingConfig(1, ratio, "uniform", 1.0, ("click",), "user_item_day")


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("column", "change", "rule"),
    [
        ("user_total_interactions", pl.col("user_total_interactions") + 1, "leakage.rederived"),
        ("item_num_clicks", pl.col("item_num_clicks") + 1, "leakage.rederived"),
        ("item_unique_users", pl.lit(None, pl.Int64), "leakage.rederived"),
        ("user_avg_rating", pl.col("user_avg_rating") - 0.01, "leakage.rederived"),
        ("user_first_interaction", pl.col("user_first_interaction") - DAY, "leakage.rederived"),
        ("user_last_interaction", pl.col("timestamp"), "leakage.feature_time"),
        ("item_last_interaction", pl.col("timestamp"), "leakage.feature_time"),
        ("item_id", pl.lit("a"), "leakage.negative_met"),
        ("timestamp", pl.col("timestamp") + DAY, "leakage.positive_without_event"),
    ],
)
def test_each_kind_of_leak_is_found_without_ids(column, change, rule):
    rows, events = _rows_with_history()
    late = pl.col("date") == world.DAYS[-1]
    leaking = rows.with_columns(pl.when(late).then(change).otherwise(column).alias(column))
    found = find_leaks(leaking, events, 1000, 1)
    hits = found.filter(pl.col("rule") == rule, pl.col("column") == column)
    assert hits.height > 0
    assert hits["date"].unique().to_list() == [world.DAYS[-1]]
    assert found.columns == ["rule", "column", "tenant", "date"]


@pytest.mark.parametrize(
    ("kinds", "source", "rule"),
    [
        ({0: "view", 2: "view"}, "viewed", None),
        ({0: "view", 3: "click"}, "viewed", None),  # engaged with after the sample's day
        ({0: "view", 2: "click"}, "viewed", "leakage.negative_not_viewed"),
        ({0: "purchase", 2: "view"}, "viewed", "leakage.negative_not_viewed"),
        ({3: "view"}, "viewed", "leakage.negative_not_viewed"),
        ({}, "viewed", "leakage.negative_not_viewed"),
        ({3: "view"}, "uniform", None),
        ({2: "view"}, "uniform", "leakage.negative_met"),
        ({2: "view"}, None, "leakage.negative_met"),
        ({2: "click"}, "category", "leakage.negative_met"),
    ],
)
def test_a_negative_is_new_to_its_user_or_viewed_and_says_so(kinds, source, rule):
    """The user's events with the item are of the days and kinds given; the sample is of day 2."""
    always = [event("u1", "x", 2), event("h", "b", 2, "view")]
    events = always + [event("u1", "b", day, kind) for day, kind in kinds.items()]
    sample = samples_of(always, [], {"acme": _config(1)}).rows.select(SAMPLE_KEYS)
    negative = pl.when(pl.col("label") == 0)
    rows = sample.with_columns(negative_source=negative.then(pl.lit(source, pl.String)))
    assert rows["item_id"].to_list() == ["x", "b"]
    found = find_leaks(rows, world.interaction_frame(events), 1000, 1)
    assert found["rule"].to_list() == ([rule] if rule else [])


def test_the_leak_sample_is_bounded_and_the_same_for_any_row_order():
    rows, events = _rows_with_history()
    wrong = rows.with_columns(user_num_views=pl.lit(99, pl.Int64))
    one = find_leaks(wrong, events, 5, 1)
    assert one.height == 5
    assert_frame_equal(one, find_leaks(wrong.reverse(), events, 5, 1))
