from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_pipeline.schemas.features import ItemFeatures, UserFeatures
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.event_pass import EventPass
from recsys_pipeline.transforms.item_features import item_features
from recsys_pipeline.transforms.state import State
from recsys_pipeline.transforms.user_features import user_features
from recsys_pipeline_tests import oracles
from recsys_pipeline_tests.transforms import strategies as world


def users_of(events, days=None):
    return by_tenant(events, UserFeatures, lambda own, tenant: user_features(own, tenant, days))


def items_of(events, days=None):
    return by_tenant(
        events, ItemFeatures, lambda own, tenant: item_features(own, tenant, days, world.WEIGHTS)
    )


def by_tenant(events, model, features):
    frame = world.interaction_frame(events).collect()
    parts = [
        features(EventPass(State.empty(), part), tenant)
        for (tenant,), part in frame.partition_by("tenant", as_dict=True).items()
    ]
    schema = frame_schema(model)
    return pl.concat([pl.DataFrame(schema=schema), *parts]).sort(schema.names()[:3])


def expected_users(events, days=None):
    rows = oracles.features(events, "user_id", oracles.user_row, days)
    return pl.DataFrame(rows, schema=frame_schema(UserFeatures))


def expected_items(events, days=None):
    rows = oracles.features(
        events, "item_id", lambda history: oracles.item_row(history, world.WEIGHTS), days
    )
    return pl.DataFrame(rows, schema=frame_schema(ItemFeatures))


@settings(max_examples=40, deadline=None)
@given(world.events(), st.none() | st.lists(st.sampled_from(world.DAYS)))
def test_user_features_equal_the_oracle(events, days):
    assert_frame_equal(users_of(events, days), expected_users(events, days), check_exact=True)


@settings(max_examples=40, deadline=None)
@given(world.events(), st.none() | st.lists(st.sampled_from(world.DAYS)))
def test_item_features_equal_the_oracle(events, days):
    expected = expected_items(events, days)
    computed = items_of(events, days)
    logs = "popularity_score"  # two implementations of log1p may differ in the last bit
    assert_frame_equal(computed.drop(logs), expected.drop(logs), check_exact=True)
    assert_frame_equal(computed.select(logs), expected.select(logs), rel_tol=1e-15)


@settings(max_examples=15, deadline=None)
@given(world.events(), st.randoms(use_true_random=False))
def test_row_order_changes_nothing(events, random):
    shuffled = random.sample(events, len(events))
    assert_frame_equal(users_of(events), users_of(shuffled), check_exact=True)
    assert_frame_equal(items_of(events), items_of(shuffled), check_exact=True)


@settings(max_examples=15, deadline=None)
@given(world.events(), st.sampled_from(world.DAYS))
def test_later_events_change_nothing(events, last):
    days = [day for day in world.DAYS if day <= last]
    past = [event for event in events if event["date"] <= last]
    assert_frame_equal(users_of(events, days), users_of(past), check_exact=True)
    assert_frame_equal(items_of(events, days), items_of(past), check_exact=True)


def test_more_than_fifty_events_keep_the_fifty_latest():
    event = {
        "date": world.START,
        "tenant": "acme",
        "user_id": "u1",
        "interaction_type": "view",
        "rating": None,
        "event_id": None,
        "context": None,
    }
    start = oracles.day_start(world.START)
    events = [
        event | {"item_id": f"i{n % 7}", "timestamp": start.replace(minute=n // 3)}
        for n in range(120)
    ]
    computed = users_of(events)
    assert_frame_equal(computed, expected_users(events), check_exact=True)
    assert len(computed["recent_items"][0]) == 50


@pytest.mark.parametrize("model", [UserFeatures, ItemFeatures])
@settings(max_examples=10, deadline=None)
@given(events=world.events())
def test_rows_keep_their_contract(model, events):
    model.validate(users_of(events) if model is UserFeatures else items_of(events))


def test_no_events_give_no_rows_of_the_right_schema():
    assert users_of([]).schema == frame_schema(UserFeatures)
    assert items_of([]).schema == frame_schema(ItemFeatures)
