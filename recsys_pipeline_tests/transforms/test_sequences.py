from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.schemas.keys import UTC_TIME
from recsys_pipeline.settings import INTERACTION_TYPES
from recsys_pipeline.transforms.id_codes import IdCodes
from recsys_pipeline.transforms.sequences import TYPE_CODES, Sequences

START = datetime(2025, 1, 1, tzinfo=UTC)
SCHEMA = {
    "user_id": pl.String,
    "timestamp": UTC_TIME,
    "item_id": pl.String,
    "interaction_type": pl.String,
}

moments = st.tuples(st.integers(0, 3), st.integers(0, 5)).map(
    lambda at: START + timedelta(days=at[0], seconds=at[1])
)
events = st.tuples(
    st.sampled_from(["u1", "u2", "é", ""]),
    moments,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(INTERACTION_TYPES),
)
samples = st.tuples(st.sampled_from(["u1", "u2", "é", "never"]), moments)


def oracle(every, user, at, length):
    """Sort all that is before, latest first as recent items are, and turn the first ones round."""
    before = [one for one in every if one[0] == user and one[1] < at]
    before.sort(key=lambda one: (one[2], one[3]))
    before.sort(key=lambda one: one[1], reverse=True)
    return [(item, kind) for _, _, item, kind in before[:length]][::-1]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(events, max_size=30),
    st.lists(samples, max_size=12),
    st.integers(1, 4),
    st.sets(st.integers(1, 3)),
)
def test_sequences_equal_the_oracle(every, asked, length, cuts):
    """Whatever the days are gathered to."""
    sequences = Sequences(length)
    edges = [START + timedelta(days=day) for day in sorted({0, *cuts, 4})]
    for begin, end in itertools.pairwise(edges):
        today = [one for one in every if begin <= one[1] < end]
        sequences.open(pl.DataFrame(today, schema=SCHEMA, orient="row"))
        mine = [one for one in asked if begin <= one[1] < end]
        schema = {name: SCHEMA[name] for name in ("user_id", "timestamp")}
        items, types = sequences.before(pl.DataFrame(mine, schema=schema, orient="row"))
        names = {code: name for name, code in TYPE_CODES.items()}
        found = [
            [(sequences.items.ids[i], names[t]) for i, t in zip(a, b, strict=True)]
            for a, b in zip(items.to_list(), types.to_list(), strict=True)
        ]
        assert found == [oracle(every, user, at, length) for user, at in mine]


def test_type_codes_are_for_good():
    # stored in releases: a change here would make old ones lie
    assert TYPE_CODES == {"view": 1, "click": 2, "like": 3, "add_to_cart": 4, "purchase": 5}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text("abé\0", max_size=3), max_size=8), max_size=6))
def test_codes_equal_a_dictionary(parts):
    codes, known = IdCodes(), {}
    for part in parts:
        before = set(known)
        found = codes.find(pl.Series(part, dtype=pl.String)).tolist()
        assert found == [known.get(value, -1) for value in part]
        given_ = codes.add(pl.Series(part, dtype=pl.String)).tolist()
        for value, code in zip(part, given_, strict=True):
            assert known.setdefault(value, code) == code
        assert sorted(known.values()) == list(range(len(known)))
        assert all(known[value] >= len(before) for value in set(part) - before)
    assert codes.ids.to_list() == sorted(known, key=known.__getitem__)
