"""Planning against a slow oracle: an offset is landed once, in order, or said to be lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.kafka.ranges import OffsetRange, plan_ranges
from recsys_pipeline.kafka.topics import NO_ID, TopicState


def state(watermarks, topic_id="id") -> TopicState:
    return TopicState("t", "c", topic_id, watermarks)


@st.composite
def topics(draw):
    marks, committed = {}, {}
    for partition in range(draw(st.integers(1, 4))):
        low = draw(st.integers(0, 20))
        marks[partition] = (low, low + draw(st.integers(0, 20)))
        committed[partition] = draw(st.none() | st.integers(0, 45))
    return marks, committed


@given(topics(), st.integers(1, 30))
def test_ranges_follow_what_has_landed(case, messages):
    marks, committed = case
    plan = plan_ranges(state(marks), committed, messages=messages)
    by_partition = {one.partition: one for one in plan.ranges}
    assert len(by_partition) == len(plan.ranges)
    for partition, (low, high) in marks.items():
        after = committed[partition]
        missing = [o for o in range(low, high) if after is None or o >= after]
        one = by_partition.get(partition)
        if after is not None and after > high:
            assert one is None
            assert any(f"t/{partition} ends" in words for words in plan.notices)
            continue
        assert plan.lag[partition] == len(missing)
        lost = after is not None and after < low
        assert any(f"t/{partition} has lost" in words for words in plan.notices) == lost
        if missing:
            assert one is not None
            got = list(range(one.start, one.end))
            assert got == missing[: len(got)]
            assert got
            assert one.after == after
    total = sum(one.end - one.start for one in plan.ranges)
    assert total <= max(messages, len(plan.ranges))
    if sum(plan.lag.values()) <= messages:
        assert total == sum(plan.lag.values())


def test_a_new_topic_starts_where_the_setting_says():
    marks = {0: (3, 9), 1: (0, 0)}
    nothing = {0: None, 1: None}
    earliest = plan_ranges(state(marks), nothing, messages=99)
    assert earliest.ranges == (OffsetRange(0, 3, 9, None),)
    latest = plan_ranges(state(marks), nothing, messages=99, start="latest")
    # an empty range settles the start: what comes later is not passed over
    assert latest.ranges == (OffsetRange(0, 9, 9, None),)


def test_a_partition_added_to_a_landed_topic_starts_at_its_first_offset():
    plan = plan_ranges(state({0: (0, 5), 1: (0, 4)}), {0: 5, 1: None}, messages=99, start="latest")
    assert plan.ranges == (OffsetRange(1, 0, 4, None),)


def test_a_topic_without_an_id_that_was_made_anew_waits_for_a_reset():
    plan = plan_ranges(state({0: (0, 2)}, NO_ID), {0: 7}, messages=99)
    assert plan.ranges == ()
    assert "recsys kafka reset --topic t --to earliest" in plan.notices[0]
