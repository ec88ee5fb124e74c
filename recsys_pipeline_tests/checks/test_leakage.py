from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from recsys_pipeline.checks import leakage
from recsys_pipeline.checks.leakage import _leakage
from recsys_pipeline.storage.parquet_store import Content
from recsys_pipeline_tests.checks.published import bad_events, data_path, events, three_days
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    event,
    land,
    run_days,
    settings_for,
    view_of,
)

SAMPLES = "training_samples"


def publish_changed(config, day, tenant, *changes):
    """Publish a day's samples anew with changed columns, as a faulty step would."""
    view = view_of(config)
    record = view.records(SAMPLES, day)[tenant]
    stored = view.store.scan(SAMPLES, [(day, tenant)]).collect()
    content = Content(stored.with_columns(*changes), record.inputs)
    view.store.publish(SAMPLES, day, {tenant: content}, view.pin)


def test_samples_without_leaks_pass_and_tell_what_was_read(tmp_path):
    view = run_days(three_days(tmp_path), all_days(3))
    rows = view.store.scan(
        SAMPLES, [(day, tenant) for day in all_days(3) for tenant in ("acme", "beta")]
    )
    found = _leakage(view, all_days(3))
    assert found.passed
    checked = rows.select(pl.len()).collect().item()
    assert found.metadata["checked_rows"].value == checked < leakage.CHECKED_ROWS
    assert f"0 leaks in {checked} rows" in found.description
    assert "6 of 6 (day, tenant)" in found.description


@pytest.mark.parametrize("tenant", ["acme", "beta"])
def test_a_feature_that_counts_its_own_day_fails(tmp_path, tenant):
    config = three_days(tmp_path)
    run_days(config, all_days(3))
    day = START + timedelta(days=1)
    # the users' events of days 0 and 1 in place of those of day 0
    seen = pl.DataFrame(events(tenant, 0) + events(tenant, 1))["user_id"].value_counts()
    counts = dict(seen.iter_rows())
    own_day = pl.col("user_id").replace_strict(counts, default=None, return_dtype=pl.Int64)
    publish_changed(config, day, tenant, own_day.alias("user_total_interactions"))
    found = _leakage(view_of(config), all_days(3))
    assert not found.passed
    leaking = {
        tuple(r.data[k] for k in ("column", "tenant", "date"))
        for r in found.metadata["leaking"].records
    }
    assert leaking == {("user_total_interactions", tenant, day.isoformat())}


@pytest.mark.parametrize("strategy", ["uniform", "viewed"])
def test_a_negative_that_another_source_drew_fails(tmp_path, strategy):
    config = settings_for(tmp_path, negative_strategy=strategy)
    for day in range(3):
        views = [event("acme", day, 60 + n, f"u{n % 3}", f"i{n + 2}", "view") for n in range(4)]
        land(tmp_path, events("acme", day) + views, f"d{day}")
    view = run_days(config, all_days(3))
    day = all_days(3)[-1]
    drawn = view.store.scan(SAMPLES, [(day, "acme")]).collect()["negative_source"]
    assert strategy in drawn
    assert _leakage(view, all_days(3)).passed
    other = {"uniform": "viewed", "viewed": "uniform"}
    renamed = pl.col("negative_source").replace(other).alias("negative_source")
    publish_changed(config, day, "acme", renamed)
    found = _leakage(view_of(config), all_days(3))
    assert not found.passed
    rules = {record.data["rule"] for record in found.metadata["leaking"].records}
    # of `viewed` some users have too few: the rest is drawn evenly
    assert rules <= {"leakage.negative_met", "leakage.negative_not_viewed"}
    expected = {"uniform": "leakage.negative_not_viewed", "viewed": "leakage.negative_met"}
    assert expected[strategy] in rules


def test_a_feature_time_of_its_own_day_fails(tmp_path):
    config = three_days(tmp_path)
    run_days(config, all_days(3))
    day = START + timedelta(days=2)
    publish_changed(config, day, "acme", pl.col("timestamp").alias("user_last_interaction"))
    assert not _leakage(view_of(config), all_days(3)).passed


def test_a_feature_column_that_was_lost_fails(tmp_path):
    config = three_days(tmp_path)
    run_days(config, all_days(3))
    view = view_of(config)
    day = START + timedelta(days=2)
    record = view.records(SAMPLES, day)["acme"]
    stored = view.store.scan(SAMPLES, [(day, "acme")]).collect()
    content = Content(stored.drop("user_total_interactions"), record.inputs)
    view.store.publish(SAMPLES, day, {"acme": content}, view.pin)
    assert not _leakage(view_of(config), all_days(3)).passed


def test_a_held_day_with_late_earlier_events_is_no_leak(tmp_path):
    """One tenant's bad day must not fail a blocking check, which stops every tenant."""
    config = settings_for(tmp_path, quarantine_min_rows=3)
    for day in range(3):
        land(tmp_path, events("acme", day) + events("beta", day), f"d{day}")
    run_days(config, all_days(3))
    land(tmp_path, bad_events("acme", 2, 20), "bad")
    run_days(config, all_days(3))
    land(tmp_path, [event("acme", 0, 70_000 + n, "u1", "i1", "view") for n in range(3)], "late")
    view = run_days(config, all_days(3))
    found = _leakage(view, all_days(3))
    assert found.passed
    assert "5 of 6 (day, tenant); 1 passed over" in found.description
    (row,) = found.metadata["not_judged"].records
    assert row.data == {"date": "2025-01-03", "tenant": "acme", "why": "held"}


def test_a_held_day_may_have_older_feature_columns(tmp_path):
    config = settings_for(tmp_path, quarantine_min_rows=3)
    for day in range(2):
        land(tmp_path, events("acme", day), f"d{day}")
    run_days(config, all_days(2))
    land(tmp_path, bad_events("acme", 0, 20), "bad")
    fewer = settings_for(
        tmp_path, quarantine_min_rows=3, sample_features=("user_total_interactions",)
    )
    view = run_days(fewer, all_days(2))
    found = _leakage(view, all_days(2))
    assert found.passed
    assert found.metadata["checked_partitions"].value == 1
    assert found.metadata["passed_over"].value == 1


def test_samples_of_an_older_landing_or_another_file_are_passed_over(tmp_path):
    config = three_days(tmp_path)
    run_days(config, all_days(3))
    land(tmp_path, events("acme", 1, kind="like"), "later")
    data_path(tmp_path, 0, SAMPLES, "beta").write_bytes(b"another file")
    found = _leakage(view_of(config), all_days(3))
    assert found.passed
    assert [tuple(r.data.values()) for r in found.metadata["not_judged"].records] == [
        ("2025-01-01", "beta", "not the recorded file"),
        ("2025-01-02", "acme", "stale"),
        ("2025-01-03", "acme", "stale"),
    ]


def test_a_long_range_is_read_in_bounds_for_each_tenant(tmp_path, monkeypatch):
    monkeypatch.setattr(leakage, "CHECKED_DAYS", 3)
    monkeypatch.setattr(leakage, "CHECKED_ROWS", 5)
    for tenant, days in (("acme", 7), ("beta", 2)):
        rows = [row for day in range(days) for row in events(tenant, day)]
        land(tmp_path, rows, "all")
    config = settings_for(tmp_path)
    run_days(config, all_days(7))
    view = view_of(config)
    read = []
    scan = view.store.scan
    monkeypatch.setattr(
        view.store,
        "scan",
        lambda asset, p, *rest: read.extend(p if asset == SAMPLES else []) or scan(asset, p, *rest),
    )
    found = _leakage(view, all_days(7))
    assert found.passed
    assert [(day - START).days for day, tenant in read if tenant == "acme"] == [0, 3, 6]
    assert [(day - START).days for day, tenant in read if tenant == "beta"] == [0, 1]
    assert "0 leaks in 10 rows" in found.description
    assert "5 of 9 (day, tenant)" in found.description


def test_partitions_are_chosen_within_chunk_rows(tmp_path):
    land(tmp_path, [row for day in range(5) for row in events("acme", day)], "all")
    run_days(settings_for(tmp_path), all_days(5))
    view = view_of(settings_for(tmp_path))
    current = [(day, "acme") for day in all_days(5)]
    rows = max(view.records(SAMPLES, day)["acme"].rows for day in all_days(5))
    two = view_of(settings_for(tmp_path, chunk_rows=2 * rows))
    assert leakage._choose(two, current) == [current[0], current[-1]]
    assert len(leakage._choose(view_of(settings_for(tmp_path, chunk_rows=1)), current)) == 1
    assert leakage._choose(view, current) == current
