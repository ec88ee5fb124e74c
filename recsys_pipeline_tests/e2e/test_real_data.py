"""Public data sets through the built-in mappings to training samples, every row accounted for."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline_tests.landed import run_days, settings_for, view_of

RECEIVED = datetime(2025, 1, 20, 12, tzinfo=UTC)


def _run(root, start, tenant, events, mapping, items=None):
    settings = settings_for(root).model_copy(update={"start_date": start})
    if items:
        ingest_files(settings, "items", [str(items)], tenant, mapping, received_at=RECEIVED)
    (summary,) = ingest_files(
        settings, "interactions", [str(events)], tenant, mapping, received_at=RECEIVED
    )
    view = view_of(settings)
    days = sorted({*view.landed_days("interactions"), *view.landed_days("items")})
    run_days(settings, days)
    assert pending_days(view_of(settings)) == []
    return settings, summary.counts, _rows(settings)


def _rows(settings):
    """Sum each stored asset's rows, and quarantined rows by reason."""
    view = view_of(settings)
    rows: dict[str, int] = {}
    for asset in (
        "validated_interactions",
        "quarantined_interactions",
        "validated_items",
        "user_features",
        "item_features",
        "training_samples",
    ):
        for day in view.published_days(asset):
            for record in view.records(asset, day).values():
                rows[asset] = rows.get(asset, 0) + record.rows
                if asset == "quarantined_interactions":
                    for reason, count in record.counts["reasons"].items():
                        rows[reason] = rows.get(reason, 0) + count
    return rows


def _samples(root):
    return pl.scan_parquet(root / "training_samples/**/*.parquet", hive_partitioning=True)


def test_taobao_without_a_catalogue(real_data, tmp_path):
    _, counts, rows = _run(
        tmp_path,
        date(2017, 11, 25),
        "taobao",
        real_data / "taobao" / "UserBehavior.csv",
        "taobao",
    )
    assert (counts.read, counts.landed, counts.parked) == (100_001, 100_001, 0)
    # days are UTC: the first evening of the source's own time zone falls before the start date
    accounted = rows["validated_interactions"] + rows.get("quarantined_interactions", 0)
    assert accounted + counts.before_start == 100_001
    labels = _samples(tmp_path).group_by("label").len().collect()
    by_label = dict(labels.iter_rows())
    assert by_label[0.0] == 4 * by_label[1.0]


def test_lowering_the_start_date_shows_the_earlier_rows(real_data, tmp_path):
    source = real_data / "taobao" / "UserBehavior.csv"
    settings, counts, rows = _run(tmp_path, date(2017, 11, 25), "taobao", source, "taobao")
    assert counts.before_start > 44
    lower = settings.model_copy(update={"start_date": date(2017, 9, 1)})
    assert pending_days(view_of(lower))
    run_days(lower, pending_days(view_of(lower)))
    after = _rows(lower)
    assert after["validated_interactions"] == rows["validated_interactions"] + counts.before_start


def test_rees46_with_its_cut_line_and_repeats(real_data, tmp_path):
    _, counts, rows = _run(
        tmp_path, date(2019, 10, 1), "rees", real_data / "rees46" / "2019-Oct.csv", "rees46"
    )
    assert (counts.read, counts.landed, counts.parked) == (17_435, 17_435, 1)
    assert rows["validated_interactions"] + rows["quarantined_interactions"] == 17_435
    assert rows["line.readable"] == 1
    assert rows["duplicate"] >= 5
    assert rows["training_samples"] > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_movielens_over_22_sparse_years(real_data, tmp_path):
    folder = real_data / "movielens-latest-small"
    _, counts, rows = _run(
        tmp_path,
        date(1996, 3, 29),
        "movielens",
        folder / "ratings.csv",
        "movielens",
        folder / "movies.csv",
    )
    assert (counts.landed, counts.parked, counts.before_start) == (100_836, 0, 0)
    assert rows["validated_interactions"] == 100_836
    assert rows["validated_items"] == 9_742
    samples = _samples(tmp_path).filter(pl.col("label") == 1).collect()
    assert samples.height > 40_000
    assert samples.get_column("item_category").null_count() < samples.height
