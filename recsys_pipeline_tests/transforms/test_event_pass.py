"""The state of the day before gives what all events give, wherever the line is drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys_pipeline.schemas.features import ItemFeatures, UserFeatures
from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.settings import INTERACTION_TYPES
from recsys_pipeline.transforms.event_pass import EventPass
from recsys_pipeline.transforms.item_features import item_features
from recsys_pipeline.transforms.state import State
from recsys_pipeline.transforms.user_features import user_features
from recsys_pipeline_tests import plain_features
from recsys_pipeline_tests.transforms import strategies as world


def passes(events: pl.DataFrame, last_days) -> tuple[pl.DataFrame, pl.DataFrame, State]:
    """Features of one tenant's events, divided into passes that end on some days."""
    state, users, items = State.empty(), [], []
    low = None
    for last in [*sorted(last_days), None]:
        part = events
        if low is not None:
            part = part.filter(pl.col("date") > low)
        if last is not None:
            part = part.filter(pl.col("date") <= last)
        one = EventPass(state, part)
        users.append(user_features(one, "acme", None))
        items.append(item_features(one, "acme", None, world.WEIGHTS))
        state, low = one.merged(), last
    return pl.concat(users), pl.concat(items), state


def own(events) -> pl.DataFrame:
    frame = world.interaction_frame(events).collect()
    return frame.with_columns(pl.lit("acme").alias("tenant"))


@settings(max_examples=60, deadline=None)
@given(
    world.events(max_size=60),
    st.sets(st.sampled_from(world.DAYS)),
    st.randoms(use_true_random=False),
)
def test_any_division_into_passes_gives_the_same_rows(events, last_days, random):
    whole = passes(own(events), [])
    divided = passes(own(random.sample(events, len(events))), last_days)
    assert_frame_equal(divided[0], whole[0], check_exact=True)
    assert_frame_equal(divided[1], whole[1], check_exact=True)


@settings(max_examples=30, deadline=None)
@given(world.events(max_size=60), st.sets(st.sampled_from(world.DAYS)))
def test_the_state_survives_its_arrays(events, last_days):
    *_, state = passes(own(events), last_days)
    copy = State.of_arrays({name: array.copy() for name, array in state.arrays().items()})
    assert {n: a.tolist() for n, a in copy.arrays().items()} == {
        n: a.tolist() for n, a in state.arrays().items()
    }
    later = own(events).with_columns(
        pl.col("date") + pl.duration(days=30), pl.col("timestamp") + pl.duration(days=30)
    )
    assert_frame_equal(
        user_features(EventPass(copy, later), "acme", None),
        user_features(EventPass(state, later), "acme", None),
        check_exact=True,
    )


def test_a_state_without_an_array_is_refused():
    arrays = State.empty().arrays()
    del arrays["met"]
    with pytest.raises(KeyError):
        State.of_arrays(arrays)


@pytest.fixture(scope="module")
def many_events() -> pl.DataFrame:
    """Users with hundreds of events, many of them at the same time."""
    random = np.random.default_rng(5)
    size = 20_000
    minutes = np.sort(random.integers(0, 30 * 24 * 60, size))
    times = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=int(m)) for m in minutes]
    return pl.DataFrame(
        {
            "date": [time.date() for time in times],
            "tenant": ["acme"] * size,
            "user_id": [f"u{n}" for n in np.minimum(random.zipf(1.3, size), 400)],
            "item_id": [f"i{n}" for n in np.minimum(random.zipf(1.2, size), 900)],
            "interaction_type": random.choice(INTERACTION_TYPES, size).tolist(),
            "timestamp": times,
            "rating": [
                n / 100 if n <= 500 else None for n in random.integers(0, 1500, size).tolist()
            ],
            "event_id": [None] * size,
            "context": [None] * size,
        },
        schema=frame_schema(Interaction),
    )


@pytest.mark.parametrize("every", [1, 7, 100])
def test_many_events_equal_plain_polars(many_events, every):
    days = sorted(set(many_events["date"]))
    users, items, _ = passes(many_events.sample(fraction=1, shuffle=True, seed=1), days[::every])
    lazy = many_events.lazy()
    plain_users = plain_features.user_features(lazy, None).collect()
    plain_items = plain_features.item_features(lazy, None, world.WEIGHTS).collect()
    assert users.schema == frame_schema(UserFeatures)
    assert items.schema == frame_schema(ItemFeatures)
    assert users["recent_items"].list.len().max() == 50
    assert_frame_equal(users, plain_users, check_exact=True)
    assert_frame_equal(items, plain_items, check_exact=True)
    some = days[3::5]
    one = EventPass(State.empty(), many_events)
    assert_frame_equal(
        user_features(one, "acme", some),
        plain_users.filter(pl.col("date").is_in(some)),
        check_exact=True,
    )
