"""Erasure and retention that are killed at each of their points go on; the harness would see it if not."""

from __future__ import annotations

import pytest

from recsys_pipeline_tests.faults.kill_points import UPKEEP_POINTS, Kill
from recsys_pipeline_tests.faults.upkeep_suite import UpkeepSuite

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def suite():
    with UpkeepSuite() as suite:
        yield suite


def test_killed_at_each_point_and_on_a_full_disk(suite):
    """One after the other on one root: each goes on from where the one before was killed."""
    passed = set()
    with suite.schedule() as schedule:
        for number, point in enumerate(UPKEEP_POINTS):
            kill = Kill(point, 1 + number // 3, full=number % 5 == 0)
            outcome = schedule.kill("erase", kill)
            passed |= {point} if outcome.killed or outcome.error else set()
        schedule.finish_erasure()
        for number, point in enumerate(UPKEEP_POINTS):
            schedule.kill("retain", Kill(point, 1 + number // 5, full=number % 5 == 0))
        schedule.finish_retention()
        assert schedule.faults(suite.expected) == [], schedule.done
    assert len(passed) > 10


@pytest.mark.parametrize(
    ("broken", "kind"), [("leaves_history", "doubled"), ("forgets_seals", "lost")]
)
def test_a_defect_is_found(suite, broken, kind):
    with suite.schedule(broken) as schedule:
        schedule.finish_erasure()
        schedule.finish_retention()
        assert kind in {fault.kind for fault in schedule.faults(suite.expected)}
