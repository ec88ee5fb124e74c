"""A thousand rows of a release of each real data set, looked at one by one: nothing came from later."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.export import open_release
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline.transforms.sequences import TYPE_CODES
from recsys_pipeline_tests.landed import run_days, settings_for, view_of

ROWS = 1000
LENGTH = 10
DATA = {
    "taobao": ("taobao/UserBehavior.csv", date(2017, 11, 25)),
    "rees46": ("rees46/2019-Oct.csv", date(2019, 10, 1)),
    "movielens": ("movielens-latest-small/ratings.csv", date(2015, 1, 1)),
}


def read(root, asset):
    paths = sorted(Path(root).glob(f"{asset}/*/tenant=shop/*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_no_row_knows_what_came_later(real_data, tmp_path, name):
    file, start = DATA[name]
    settings = settings_for(tmp_path, start_date=start, negative_ratio=2)
    ingest_files(settings, "interactions", [str(real_data / file)], "shop", name)
    days = [day for day in view_of(settings).landed_days("interactions") if day < date(2025, 1, 1)]
    run_days(settings, days)
    spec = ReleaseSpec(
        "shop",
        days[0],
        days[-1],
        split="time" if len(days) > 2 else "leave-last-out",
        validation_days=1,
        test_days=1,
        sequence_length=LENGTH,
        evaluation_negatives=True,
        allow_missing=True,
    )
    made = make_release(view_of(settings, ["shop"]), spec)
    events = read(tmp_path, "validated_interactions").with_columns(
        pl.col("timestamp").dt.date().alias("day")
    )
    vocabulary = open_release(made.uri).vocabulary("items")
    index = dict(vocabulary.select("id", "index").iter_rows())
    paths = [p for s in ("train", "validation", "test") for p in (Path(made.uri) / s).glob("*")]
    rows = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])
    chosen = rows.sample(min(ROWS, rows.height), seed=7)
    assert chosen["label"].n_unique() == 2
    by_user = events.partition_by("user_id", as_dict=True)
    by_item = events.partition_by("item_id", as_dict=True)
    for row in chosen.iter_rows(named=True):
        day, at = row["timestamp"].date(), row["timestamp"]
        own = by_user[row["user_id"],]
        of_item = by_item.get((row["item_id"],), events.clear())
        for who, before in (
            ("user", own.filter(pl.col("day") < day)),
            ("item", of_item.filter(pl.col("day") < day)),
        ):
            assert row[f"{who}_total_interactions"] == (before.height or None)
            assert row[f"{who}_last_interaction"] == before["timestamp"].max()
        met = own.filter((pl.col("item_id") == row["item_id"]) & (pl.col("day") <= day))
        if row["label"] == 1:
            assert (met["timestamp"] == at).any()
        else:
            assert met.is_empty()
        earlier = own.filter(pl.col("timestamp") < at)
        order = ("timestamp", "item_id", "interaction_type")
        last = earlier.sort(order, descending=[True, False, False]).head(LENGTH).reverse()
        assert row["sequence_items"] == [index.get(item, 1) for item in last["item_id"]]
        assert row["sequence_types"] == [TYPE_CODES[kind] for kind in last["interaction_type"]]
