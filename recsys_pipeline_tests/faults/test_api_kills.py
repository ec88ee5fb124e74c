from __future__ import annotations

import pytest

from recsys_pipeline_tests.faults.api_schedule import run
from recsys_pipeline_tests.faults.api_suite import ApiSuite


@pytest.mark.slow
def test_what_was_answered_is_landed_once_whenever_the_service_is_killed(tmp_path):
    outcome = run(tmp_path, kills=10, seed=20261126)
    assert outcome.answered > 10
    assert outcome.unanswered > 0
    found = (outcome.lost, outcome.doubled, outcome.torn, outcome.other)
    assert found == ([], [], [], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "kind"), [("forgets_uploads", "lost"), ("forgets_keys", "doubled")]
)
def test_a_defect_is_found(broken, kind):
    faults, _ = ApiSuite().run(1, broken)
    assert kind in {fault.kind for fault in faults}
