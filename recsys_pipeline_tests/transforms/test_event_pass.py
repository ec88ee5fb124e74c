"""The state of the day before gives what all events give, wherever the line is drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

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
from recsys_pipeline.transforms.merge import Merge
from recsys_pipeline.transforms.state import BUCKET_BYTES, State, Users
from recsys_pipeline.transforms.user_features import user_features
from recsys_pipeline_tests import plain_features
from recsys_pipeline_tests.transforms import strategies as world


def passes(
    events: pl.DataFrame, last_days, limit=BUCKET_BYTES
) -> tuple[pl.DataFrame, pl.DataFrame, State]:
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
        state, low = Merge(one).state(limit), last
    return pl.concat(users), pl.concat(items), state


def own(events) -> pl.DataFrame:
    frame = world.interaction_frame(events).collect()
    return frame.with_columns(pl.lit("acme").alias("tenant"))


@settings(max_examples=60, deadline=None)
@given(
    world.events(max_size=60),
    st.sets(st.sampled_from(world.DAYS)),
    st.randoms(use_true_random=False),
    st.sampled_from([0, 1500, BUCKET_BYTES]),
)
def test_any_division_into_passes_and_buckets_gives_the_same_rows(events, last_days, random, limit):
    whole = passes(own(events), [])
    divided = passes(own(random.sample(events, len(events))), last_days, limit)
    assert_frame_equal(divided[0], whole[0], check_exact=True)
    assert_frame_equal(divided[1], whole[1], check_exact=True)


@settings(max_examples=40, deadline=None)
@given(world.events(max_size=60), st.lists(st.integers(0, 60)))
def test_events_may_be_read_part_by_part(events, cuts):
    frame = own(events)
    edges = [0, *sorted(min(cut, frame.height) for cut in cuts), frame.height]
    parts = [frame[begin:end] for begin, end in pairwise(edges)]  # some of them empty
    whole, divided = EventPass(State.empty(), frame), EventPass(State.empty(), iter(parts))
    for name in ("times", "days", "types", "_ratings"):
        one, other = getattr(divided, name), getattr(whole, name)
        assert (one.dtype, one.tolist()) == (other.dtype, other.tolist())
    for side in ("users", "items"):
        one, other = getattr(divided, side), getattr(whole, side)
        assert one.ids.to_list() == other.ids.to_list()
        assert one.hashes.tolist() == other.hashes.tolist()
        assert (one.codes.dtype, one.codes.tolist()) == (other.codes.dtype, other.codes.tolist())


def test_no_part_at_all_is_a_pass_without_events():
    one, whole = EventPass(State.empty(), iter([])), EventPass(State.empty(), own([]))
    assert one.users.ids.to_list() == one.items.ids.to_list() == []
    for name in ("times", "days", "types", "_ratings"):
        assert getattr(one, name).dtype == getattr(whole, name).dtype
    assert Merge(one).state().items.count == 0


def copied(users: Users) -> Users:
    return Users.of_arrays({name: array.copy() for name, array in users.arrays().items()})


@settings(max_examples=30, deadline=None)
@given(world.events(max_size=60), st.sets(st.sampled_from(world.DAYS)))
def test_the_state_survives_its_arrays(events, last_days):
    *_, state = passes(own(events), last_days, 1000)
    copy = State.of(state.items, [copied(users) for users in state.buckets])
    assert copy.lows.tolist() == state.lows.tolist()
    later = own(events).with_columns(
        pl.col("date") + pl.duration(days=30), pl.col("timestamp") + pl.duration(days=30)
    )
    assert_frame_equal(
        user_features(EventPass(copy, later), "acme", None),
        user_features(EventPass(state, later), "acme", None),
        check_exact=True,
    )


@settings(max_examples=40, deadline=None)
@given(
    world.events(max_size=60),
    st.sets(st.sampled_from(world.DAYS)),
    st.sampled_from([0, 1500, BUCKET_BYTES]),
)
def test_the_state_says_of_each_item_met_if_it_was_engaged_with(events, last_days, limit):
    *_, state = passes(own(events), last_days, limit)
    expected = {}
    for one in events:
        pair = one["user_id"], one["item_id"]
        expected[pair] = expected.get(pair, False) or one["interaction_type"] != "view"
    items, found = state.items.ids.to_pylist(), []
    for bucket in state.buckets:
        for user, name in enumerate(bucket.entities.ids.to_pylist()):
            own_met = bucket.met[bucket.met_offsets[user] : bucket.met_offsets[user + 1]].tolist()
            assert own_met == sorted(own_met)
            found += [((name, items[number >> 1]), bool(number & 1)) for number in own_met]
    assert sorted(found) == sorted(expected.items())


def test_buckets_are_divided_until_they_are_small_enough(many_events):
    *_, whole = passes(many_events, [])
    *_, state = passes(many_events, sorted(set(many_events["date"]))[::3], 20_000)
    assert len(whole.buckets) == 1
    assert len(state.buckets) > 4
    assert state.lows.tolist() == sorted(set(state.lows.tolist()))
    hashes = [bucket.entities.hashes for bucket in state.buckets]
    assert np.concatenate(hashes).tolist() == whole.buckets[0].entities.hashes.tolist()
    for number, bucket in enumerate(state.buckets):
        assert set(state.bucket_of(bucket.entities.hashes).tolist()) <= {number}
        size = sum(array.nbytes for array in bucket.arrays().values())
        assert size <= 20_000 or bucket.entities.count == 1


def test_a_bucket_without_an_array_is_refused():
    arrays = Users.none().arrays()
    del arrays["met"]
    with pytest.raises(KeyError):
        Users.of_arrays(arrays)


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
