"""A landing that is killed at any point loses nothing and doubles nothing; the harness would see it."""

from __future__ import annotations

import re

import pytest

from recsys_pipeline_tests.faults.__main__ import main
from recsys_pipeline_tests.faults.comparison import Fault
from recsys_pipeline_tests.faults.harness import Total, _note
from recsys_pipeline_tests.faults.kill_points import POINTS, Kill
from recsys_pipeline_tests.faults.landing_suite import LandingSuite

# on each side of each step from the broker to the published file
DEFAULT = [
    ("land", "commit.before"),
    ("land", "upkeep.before"),
    ("materialise", "record.before"),
    ("compact", "commit.before"),
]


@pytest.fixture(scope="module")
def suite():
    with LandingSuite() as suite:
        yield suite


@pytest.mark.parametrize(
    ("work", "point"),
    [
        pytest.param(work, point, marks=() if (work, point) in DEFAULT else pytest.mark.slow)
        for work, points in POINTS.items()
        for point in points
    ],
)
def test_a_child_killed_at_a_point(suite, work, point):
    with suite.schedule(1) as schedule:
        outcome = schedule.only(work, Kill(point))
        assert outcome.killed, "the point was not passed"
        assert schedule.finish() == []


@pytest.mark.slow
@pytest.mark.parametrize("work", ["land", "materialise", "compact", "vacuum"])
def test_a_child_that_is_not_killed(suite, work):
    with suite.schedule(2) as schedule:
        assert str(schedule.only(work, None)) == "done"
        assert schedule.finish() == []


@pytest.mark.parametrize(
    "seed", [pytest.param(n, marks=[pytest.mark.slow] if n > 1 else []) for n in range(1, 13)]
)
def test_random_schedules(suite, seed):
    faults, done = suite.run(1_000_000 + seed)
    assert faults == [], done


@pytest.mark.parametrize(
    ("broken", "work", "kill", "kind"),
    [
        ("commits_twice", "land", None, "doubled"),
        pytest.param("drops_chunks", "land", None, "lost", marks=pytest.mark.slow),
        pytest.param(
            "offset_apart", "land", Kill("upkeep.after"), "doubled", marks=pytest.mark.slow
        ),
        pytest.param("tears_files", "land", None, "torn", marks=pytest.mark.slow),
        pytest.param("tears_files", "materialise", None, "torn", marks=pytest.mark.slow),
        ("publishes_less", "materialise", None, "lost"),
    ],
)
def test_a_defect_is_found(suite, broken, work, kill, kind):
    with suite.schedule(3, broken) as schedule:
        schedule.only(work, kill)
        assert kind in {fault.kind for fault in schedule.finish()}


def test_a_plan_that_is_landed_twice_is_found(suite):
    with suite.schedule(4, "ignores_offsets") as schedule:
        planned = schedule._plan("interactions")
        for _ in range(2):
            assert str(schedule._ended(schedule._run("land", planned, None))) == "done"
        faults = schedule.finish()
    assert {fault.kind for fault in faults} == {"doubled"}


def test_a_run_that_fails_by_itself_is_no_end_of_a_schedule(suite):
    with (
        suite.schedule(5, "refuses_everything") as schedule,
        pytest.raises(Exception, match="ZeroDivisionError"),
    ):
        schedule.only("land", None)


def test_the_last_line_counts_what_was_found():
    total = Total("landing")
    said = []
    _note(total, 3, [], "", said.append)
    assert str(total) == "suite=landing schedules=1 lost=0 doubled=0 torn=0"
    assert total.clean
    assert said == []
    _note(total, 4, [Fault("torn", 2, "a, b")], "land: done", said.append)
    assert str(total) == "suite=landing schedules=2 lost=0 doubled=0 torn=2"
    assert not total.clean
    assert "make faults SUITE=landing SCHEDULES=1 SEED=4" in said[0]


@pytest.mark.slow
def test_the_command_and_its_exit_code(capsys):
    assert main(["--suite", "landing", "--schedules", "1", "--seed", "7"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "suite=landing schedules=1 lost=0 doubled=0 torn=0"
    own = ["--suite", "landing"]
    assert main([*own, "--schedules", "2", "--jobs", "1", "--broken", "commits_twice"]) == 1
    *told, last = capsys.readouterr().out.splitlines()
    assert "make faults SUITE=landing SCHEDULES=1 SEED=" in "\n".join(told)
    found = re.fullmatch(r"suite=landing schedules=2 lost=\d+ doubled=(\d+) torn=\d+", last)
    assert int(found[1]) > 0
    assert main([*own, "--schedules", "1", "--broken", "refuses_everything"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "suite=landing schedules=0 lost=0 doubled=0 torn=0"
