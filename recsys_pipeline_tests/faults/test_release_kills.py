"""A release that is killed by SIGKILL at any point is whole or not there; the harness would see it."""

from __future__ import annotations

import pytest

from recsys_pipeline_tests.faults.kill_points import Kill
from recsys_pipeline_tests.faults.release_suite import ReleaseSuite

# one side of each step; the suite of `make faults` takes all of them, and later hits
SLOW = (
    "fold.after",
    "part.after",
    "publish.before",
    "clear.after",
    "put.before",
    "write.before",
    "write.after",
    "write.half",
)


@pytest.fixture(scope="module")
def suite():
    with ReleaseSuite() as suite:
        yield suite


@pytest.mark.parametrize(
    "point", ["rename.after", *(pytest.param(point, marks=pytest.mark.slow) for point in SLOW)]
)
def test_a_release_killed_at_a_point(suite, point):
    with suite.schedule() as schedule:
        assert schedule.kill("few", Kill(point)).killed, "the point was not passed"
        assert schedule.finish() == []


@pytest.mark.slow
def test_random_schedules(suite):
    for seed in range(2):
        faults, done = suite.run(1_000_000 + seed)
        assert faults == [], done


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "kill"),
    [
        # the first is the manifest
        ("manifest_first", Kill("put.before", 2)),
        ("leaves_temporaries", Kill("publish.before")),
    ],
)
def test_a_defect_is_found(suite, broken, kill):
    with suite.schedule(broken) as schedule:
        schedule.kill("few", kill)
        assert {fault.kind for fault in schedule.finish()} == {"torn"}
