"""The split against a slow, obvious oracle."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.schemas.landing import LandedInteraction, LandedItem
from recsys_pipeline.schemas.quarantine import QuarantinedInteraction, QuarantinedItem
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.validation import reason_counts, split
from recsys_pipeline_tests.landed import event, item_version

TYPES = {"view", "click", "like", "add_to_cart", "purchase"}


def _landed(rows, model=LandedInteraction):
    return pl.DataFrame(rows, schema=dict(frame_schema(model)))


EVENTS = st.lists(
    st.builds(
        event,
        tenant=st.sampled_from(["acme", "beta"]),
        day=st.integers(0, 1),
        seconds=st.integers(0, 2),
        user=st.sampled_from(["u1", "", None, "u\x00"]),
        item=st.sampled_from(["i1", "i2", "x" * 256]),
        kind=st.sampled_from(["view", "click", "wink", None]),
        rating=st.sampled_from([None, 3.0, 3.001, 3.004, 5.1, float("nan")]),
        event_id=st.sampled_from([None, None, "e1", "e2"]),
        problem=st.sampled_from([None, None, None, "rating.readable"]),
        received_at=st.sampled_from(
            [datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 2, tzinfo=UTC)]
        ),
        batch_id=st.sampled_from(["b1", "b2"]),
    ),
    max_size=25,
)


def _oracle(rows):
    """Return (date, tenant, position) by outcome, row by row."""
    valid, duplicate, rejected = set(), set(), set()
    kept = set()
    for row in sorted(rows, key=lambda r: (r["received_at"], r["batch_id"], r["position"])):
        rating = row["rating"]
        obeys = (
            row["problem"] is None
            and row["user_id"] == "u1"
            and row["item_id"] in {"i1", "i2"}
            and row["interaction_type"] in TYPES
            and (rating is None or 0 <= rating <= 5)
        )
        if not obeys:
            rejected.add(row["position"])
            continue
        rounded = None if rating is None else round(rating * 100) / 100
        content = (
            row["user_id"],
            row["item_id"],
            row["interaction_type"],
            row["timestamp"],
            rounded,
        )
        key = (row["date"], row["tenant"], row["event_id"] or content, row["event_id"] is None)
        (duplicate if key in kept else valid).add(row["position"])
        kept.add(key)
    return valid, duplicate, rejected


@settings(max_examples=120, deadline=None)
@given(EVENTS, st.randoms(use_true_random=False))
def test_interactions_split_as_the_oracle_and_conserve_rows(events, order):
    rows = [row | {"position": n} for n, row in enumerate(events)]
    shuffled = list(rows)
    order.shuffle(shuffled)
    made = split(_landed(shuffled), "interactions")
    again = split(_landed(rows), "interactions")
    assert made.valid.equals(again.valid)
    assert made.quarantined.equals(again.quarantined)

    valid, duplicate, rejected = _oracle(rows)
    by_outcome = {
        outcome: set(made.quarantined.filter(pl.col("outcome") == outcome).get_column("position"))
        for outcome in ("duplicate", "rejected")
    }
    assert by_outcome == {"duplicate": duplicate, "rejected": rejected}
    assert made.valid.height == len(valid)
    expected = sorted(
        (r["date"], r["tenant"], r["item_id"], r["interaction_type"], r["timestamp"])
        for r in rows
        if r["position"] in valid
    )
    columns = ["date", "tenant", "item_id", "interaction_type", "timestamp"]
    assert sorted(made.valid.select(columns).iter_rows()) == expected
    assert made.counts.get_column("landed").sum() == len(rows)
    totals = made.counts.select("valid", "duplicate", "rejected").sum_horizontal().sum()
    assert totals == len(rows)
    assert sum(n for r in reason_counts(made.quarantined).values() for n in r.values()) == len(
        rows
    ) - len(valid)


def test_every_broken_rule_is_named_first_one_first():
    rows = [event(user="", kind="wink", rating=9.0) | {"batch_id": "b", "position": 1}]
    made = split(_landed(rows), "interactions")
    row = made.quarantined.row(0, named=True)
    assert row["reason"] == "user_id.form"
    assert row["reasons"].split(";") == [
        "user_id.form",
        "user_id.length",
        "interaction_type.allowed",
        "rating.range",
    ]


def test_a_reader_s_problem_stands_alone():
    rows = [
        event(user=None, problem="line.readable", raw="garbage", parked=True)
        | {"batch_id": "b", "position": 1}
    ]
    made = split(_landed(rows), "interactions")
    assert made.quarantined.get_column("reasons").to_list() == ["line.readable"]
    assert made.quarantined.get_column("raw").to_list() == ["garbage"]
    assert made.counts.row(0, named=True)["parked"] == 1


def test_ratings_are_quantised_and_counted():
    rows = [
        event(seconds=n, rating=value) | {"batch_id": "b", "position": n}
        for n, value in enumerate([4.0, 4.004, 4.006, None])
    ]
    made = split(_landed(rows), "interactions")
    assert sorted(made.valid.get_column("rating").drop_nulls()) == [4.0, 4.0, 4.01]
    assert made.counts.row(0, named=True)["ratings_quantised"] == 2


def test_items_keep_the_latest_version_and_tell_repeats_from_older_ones():
    rows = [
        item_version(price=1.0) | {"batch_id": "a", "position": 1},
        item_version(price=1.0) | {"batch_id": "a", "position": 2},
        item_version(price=2.0) | {"batch_id": "b", "position": 1},
        item_version(item="i2", category="Nowhere") | {"batch_id": "b", "position": 2},
    ]
    random.Random(1).shuffle(rows)
    made = split(_landed(rows, LandedItem), "items", {"acme": ["Audio"]})
    assert made.valid.select("item_id", "price").rows() == [("i1", 2.0)]
    found = made.quarantined.select("batch_id", "position", "outcome", "reason").sort("position")
    assert set(found.iter_rows()) == {
        ("a", 2, "duplicate", "duplicate"),
        ("a", 1, "duplicate", "superseded"),
        ("b", 2, "rejected", "category.allowed"),
    }


def test_outputs_have_their_contracts_even_when_empty():
    for kind, landed, quarantined in (
        ("interactions", LandedInteraction, QuarantinedInteraction),
        ("items", LandedItem, QuarantinedItem),
    ):
        made = split(_landed([], landed), kind)
        assert made.quarantined.schema == frame_schema(quarantined)
        assert made.valid.is_empty()
