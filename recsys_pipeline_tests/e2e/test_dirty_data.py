"""Generated data with every kind of bad row, from files to training samples.

Guarantee 2: every row is accounted for, and each injected one is found under its reason.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl
import pytest

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.generate import generate
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline.runs import run_range
from recsys_pipeline_tests.landed import run_days, settings_for, view_of

START = date(2025, 1, 1)
RECEIVED = datetime(2025, 1, 20, 12, tzinfo=UTC)
DAYS = 6


def _generate(folder, file_format, **more):
    folder.mkdir()
    config = GeneratorConfig(
        start=START,
        days=DAYS,
        users=150,
        items=200,
        events=3_000,
        dirty=0.03,
        file_format=file_format,
        **more,
    )
    return generate(config, folder)


def _ingest(settings, files):
    summaries = []
    for kind, path in (("items", files.items), ("interactions", files.interactions)):
        summaries += ingest_files(settings, kind, [str(path)], "acme", received_at=RECEIVED)
    return {"items": summaries[0].counts, "interactions": summaries[1].counts}


def _quarantine(root, kind) -> pl.DataFrame:
    return pl.read_parquet(
        root / f"quarantined_{kind}" / "**/*.parquet",
        hive_partitioning=True,
        hive_schema={"date": pl.Date, "tenant": pl.String},
    )


def _check_key(root, files) -> None:
    """Compare the quarantine with the key file, entry by entry."""
    entries = [json.loads(line) for line in files.injected.read_text().splitlines()]
    assert len(entries) == files.injected_interactions + files.injected_items
    for kind, path in (("interactions", files.interactions), ("items", files.items)):
        expected = {
            entry["position"]: (entry["outcome"], entry["reason"])
            for entry in entries
            if entry["file"] == path.name
        }
        rows = _quarantine(root, kind).select("position", "outcome", "reason", "date", "parked")
        found = {row[0]: row[1:3] for row in rows.iter_rows()}
        assert found == expected
        assert rows.height == len(expected)
        days = {entry["position"]: entry["day"] for entry in entries if entry["file"] == path.name}
        for position, _, _, day, parked in rows.iter_rows():
            if days[position] == "parked":
                assert (day, parked) == (RECEIVED.date(), True)
            elif days[position] is not None:
                assert (day.isoformat(), parked) == (days[position], False)


def _run_until_received(settings):
    days = sorted(d for d in _span(START, RECEIVED.date()))
    return run_days(settings, days)


def _span(first, last):
    return [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]


@pytest.mark.parametrize(
    ("file_format", "more"),
    [
        ("csv", {}),
        ("csv", {"compress": "gzip", "event_ids": False}),
        ("jsonl", {}),
        ("parquet", {}),
    ],
    ids=["csv", "csv-gzip-no-event-ids", "jsonl", "parquet"],
)
def test_every_injected_row_is_in_quarantine_under_its_reason(tmp_path, file_format, more):
    files = _generate(tmp_path / "files", file_format, **more)
    settings = settings_for(tmp_path / "root")
    counts = _ingest(settings, files)
    assert counts["interactions"].landed == files.interaction_rows
    assert counts["items"].landed == files.item_rows

    view = _run_until_received(settings)
    _check_key(tmp_path / "root", files)
    valid = {
        kind: sum(
            record.rows
            for day in view.published_days(f"validated_{kind}")
            for record in view.records(f"validated_{kind}", day).values()
        )
        for kind in ("interactions", "items")
    }
    assert valid["interactions"] == files.interaction_rows - files.injected_interactions
    assert valid["items"] == files.item_rows - files.injected_items


def test_the_same_through_dagster_with_every_check_green(tmp_path, use_root):
    root = tmp_path / "root"
    settings = use_root(root)
    files = _generate(tmp_path / "files", "csv")
    _ingest(settings, files)
    with dg.DagsterInstance.ephemeral() as instance:
        run = run_range(instance, START, RECEIVED.date())
        materialized = instance.get_latest_materialization_event(dg.AssetKey("training_samples"))
        assert materialized is not None
        blocking = {"contract", "leakage", "interactions_conserved", "items_conserved"}
        assert [c for c in run.failed_checks if c[1] in blocking] == []
    _check_key(root, files)
    assert pending_days(view_of(settings)) == []

    samples = pl.read_parquet(root / "training_samples/**/*.parquet", hive_partitioning=True)
    positives = samples.filter(pl.col("label") == 1)
    negatives = samples.filter(pl.col("label") == 0)
    per_user = Counter(positives.get_column("user_id"))
    assert positives.height > 500
    assert 3.5 < negatives.height / positives.height <= 4
    events = pl.read_parquet(root / "validated_interactions/**/*.parquet", hive_partitioning=True)
    assert set(per_user) <= set(events.get_column("user_id"))
    assert (
        samples.filter(pl.col("date") == START).get_column("user_total_interactions").null_count()
    )


def test_the_same_file_again_changes_nothing(tmp_path):
    files = _generate(tmp_path / "files", "csv")
    settings = settings_for(tmp_path / "root")
    _ingest(settings, files)
    before = view_of(settings)
    again = ingest_files(
        settings, "interactions", [str(files.interactions)], "acme", received_at=RECEIVED
    )
    assert again[0].already_landed
    after = view_of(settings)
    assert after.pin == before.pin
    assert after.landed("interactions") == before.landed("interactions")
