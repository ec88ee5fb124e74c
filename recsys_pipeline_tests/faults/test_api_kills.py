from __future__ import annotations

import pytest

from recsys_pipeline_tests.faults.api_schedule import run


@pytest.mark.slow
def test_what_was_answered_is_landed_once_whenever_the_service_is_killed(tmp_path):
    outcome = run(tmp_path, kills=20, seed=20261126)
    assert outcome.answered > 20
    assert outcome.unanswered > 0
    assert (outcome.lost, outcome.doubled, outcome.torn) == ([], [], [])
