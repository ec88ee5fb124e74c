from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.transforms.split_order import RowTimes, out_of_order
from recsys_pipeline_tests.transforms.release_rows import frame, rows

NAMES = ("train", "validation", "test")


@settings(max_examples=40, deadline=None)
@given(st.lists(rows(6), min_size=3, max_size=3), st.booleans(), st.booleans(), st.integers(1, 3))
def test_rows_that_are_too_late_are_found_and_no_others(splits, by_user, ties, parts):
    times = {}
    for name, listed in zip(NAMES, splits, strict=True):
        gathered = RowTimes(by_user=by_user)
        for n in range(parts):
            gathered.add(frame(listed).gather_every(parts, n))
        times[name] = gathered.times()
    expected = []
    for a in range(3):
        for b in range(a + 1, 3):
            late = {
                early["user_id"] if by_user else ""
                for early in splits[a]
                for later in splits[b]
                if (not by_user or early["user_id"] == later["user_id"])
                and (
                    early["timestamp"] > later["timestamp"]
                    or (not ties and early["timestamp"] == later["timestamp"])
                )
            }
            expected += [(NAMES[a], NAMES[b], len(late))] if late else []
    assert out_of_order(times, ties=ties) == expected
