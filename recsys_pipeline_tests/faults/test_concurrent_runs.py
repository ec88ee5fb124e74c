"""Concurrent runs of the same days: an older landing never wins, and the end is a fresh run's."""

from __future__ import annotations

import multiprocessing
import shutil
import time

import pytest

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.engines.publication import publish
from recsys_pipeline.engines.steps import validate
from recsys_pipeline.errors import StaleInputError
from recsys_pipeline_tests.landed import (
    all_days,
    file_hashes,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)

DAYS = 4


def test_a_run_that_pinned_an_older_landing_is_refused(tmp_path):
    land(tmp_path, random_events(1, 60, DAYS), "a")
    config = settings_for(tmp_path)
    older = view_of(config)
    assert older.landed("interactions")
    land(tmp_path, random_events(2, 60, DAYS), "b")
    run_days(config, all_days(DAYS))
    newest = file_hashes(tmp_path)

    days = [good for good, _ in validate(older, "interactions", all_days(DAYS), force=True)]
    with pytest.raises(StaleInputError, match="Run it again"):
        publish(older, "validated_interactions", days)
    assert file_hashes(tmp_path) == newest


def _keep_running(root, seconds):
    until = time.monotonic() + seconds
    runs = 0
    while time.monotonic() < until or not runs:
        try:
            run_days(settings_for(root), all_days(DAYS))
            runs += 1
        except StaleInputError:
            pass  # another run was ahead: start over from the latest landing


@pytest.mark.slow
def test_three_runners_and_a_landing_end_as_one_fresh_run(tmp_path):
    root, fresh = tmp_path / "root", tmp_path / "fresh"
    land(root, random_events(0, 40, DAYS), "0")
    land(root, [item_version(item=f"i{n}") for n in range(15)], "items", "items")
    context = multiprocessing.get_context("spawn")
    runners = [context.Process(target=_keep_running, args=(root, 8)) for _ in range(3)]
    for runner in runners:
        runner.start()
    for batch in range(1, 7):
        land(root, random_events(batch, 20, DAYS), str(batch))
        time.sleep(0.7)
    for runner in runners:
        runner.join(120)
        assert runner.exitcode == 0

    run_days(settings_for(root), pending_days(view_of(settings_for(root))))
    for table in ("raw_interactions", "raw_items"):
        shutil.copytree(root / table, fresh / table)
    run_days(settings_for(fresh), all_days(DAYS))
    assert file_hashes(root) == file_hashes(fresh)
    assert pending_days(view_of(settings_for(root))) == []
