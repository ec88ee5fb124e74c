"""Days after sealed ones are judged by what is left of those: sums of all, and who has met what."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from recsys_pipeline.checks.leakage import _leakage
from recsys_pipeline.maintenance.retention import Retention
from recsys_pipeline_tests.checks.test_leakage import SAMPLES, publish_changed
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)

DAYS = 6
LAST = START + timedelta(days=DAYS - 1)


@pytest.fixture
def config(tmp_path):
    """A root whose first three days are sealed; half of the negatives of later ones were viewed."""
    events = [row for seed in range(4) for row in random_events(seed, 150, DAYS, ("acme",))]
    land(tmp_path, events, "a")
    land(tmp_path, [item_version(item=f"i{n}") for n in range(20)], "b", "items")
    settings = settings_for(
        tmp_path,
        quarantine_limit=1,
        negative_strategy="mixed",
        negative_mix={"uniform": 1, "viewed": 1},
        retention={"events": 3},
    )
    view = run_days(settings, all_days(DAYS))
    steps = Retention(settings, view.store, START + timedelta(days=DAYS)).apply()
    assert [step.state for step in steps] == ["done"]
    return settings


def test_what_is_right_passes(config):
    found = _leakage(view_of(config), all_days(DAYS))
    assert found.passed, found.metadata
    assert found.metadata["checked_partitions"].value >= 2
    assert found.metadata["passed_over"].value == 0


@pytest.mark.parametrize(
    "column",
    ["user_total_interactions", "user_unique_items", "user_avg_rating", "user_first_interaction",
     "item_unique_users", "item_num_views", "item_last_interaction", "item_rating_count"],
)  # fmt: skip
def test_a_feature_that_is_wrong_fails(config, column):
    is_time = column.endswith("interaction")
    more = pl.duration(microseconds=-1) if is_time else pl.lit(1)
    publish_changed(config, LAST, "acme", pl.col(column) + more)
    found = _leakage(view_of(config), all_days(DAYS))
    assert not found.passed
    assert {r.data["column"] for r in found.metadata["leaking"].records} == {column}


def test_a_negative_that_was_met_in_sealed_days_fails(config):
    view = view_of(config)
    rows = view.store.scan(SAMPLES, [(LAST, "acme")]).collect()
    viewed = rows.filter(pl.col("negative_source") == "viewed")
    assert viewed.height
    publish_changed(config, LAST, "acme", pl.col("negative_source").replace("viewed", "uniform"))
    found = _leakage(view_of(config), all_days(DAYS))
    rules = {r.data["rule"] for r in found.metadata["leaking"].records}
    assert rules == {"leakage.negative_met"}
