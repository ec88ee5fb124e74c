"""The public data sets through the built-in mappings, every row accounted for."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from recsys_pipeline.ingestion.mapping import load_mapping
from recsys_pipeline_tests.ingestion.files import RECEIVED, landed_of

CASES = {
    "taobao/UserBehavior.csv": ("taobao", "interactions", 100_001, 0),
    "taobao/user_behavior.jsonl": ("taobao", "interactions", 1_000, 0),
    "rees46/2019-Oct.csv": ("rees46", "interactions", 17_435, 1),
    "movielens-latest-small/ratings.csv": ("movielens", "interactions", 100_836, 0),
    "movielens-latest-small/movies.csv": ("movielens", "items", 9_742, 0),
}


@pytest.mark.parametrize("name", CASES)
def test_every_row_lands(real_data, name):
    mapping, kind, rows, parked = CASES[name]
    landed = landed_of(str(real_data / name), load_mapping(mapping, kind))
    assert landed.height == rows
    assert landed["parked"].sum() == parked
    assert landed["position"].n_unique() == rows
    assert landed["problem"].count() == parked
    required = ["item_id"] if kind == "items" else ["user_id", "item_id", "interaction_type"]
    assert landed.filter(~pl.col("parked")).select(required).null_count().sum_horizontal()[0] == 0


def test_taobao(real_data):
    landed = landed_of(
        str(real_data / "taobao/UserBehavior.csv"), load_mapping("taobao", "interactions")
    )
    window = pl.col("timestamp").is_between(
        pl.datetime(2017, 11, 24, 16, time_zone="UTC"),
        pl.datetime(2017, 12, 3, 16, time_zone="UTC"),
        closed="left",
    )
    assert landed.filter(~window).height == 44
    assert landed["date"].min() == date(2017, 9, 11)
    assert set(landed["interaction_type"]) == {"view", "like", "add_to_cart", "purchase"}
    assert landed["context"][0] == '{"category_id":"2520377"}'


def test_rees46_keeps_the_cut_line(real_data):
    landed = landed_of(
        str(real_data / "rees46/2019-Oct.csv"), load_mapping("rees46", "interactions")
    )
    cut = landed.filter("parked").row(0, named=True)
    assert (cut["problem"], cut["date"]) == ("line.readable", RECEIVED.date())
    assert cut["raw"].endswith("25.71,52040330")
    assert '"price":"35.79"' in landed["context"][0]


def test_movielens(real_data):
    folder = real_data / "movielens-latest-small"
    ratings = landed_of(str(folder / "ratings.csv"), load_mapping("movielens", "interactions"))
    liked = ratings["rating"] >= 4
    assert (ratings["interaction_type"] == "like").equals(liked)
    movies = landed_of(str(folder / "movies.csv"), load_mapping("movielens", "items"))
    assert "(no genres listed)" in set(movies["category"])
    assert movies["attributes"][0] == '{"genres":"Adventure|Animation|Children|Comedy|Fantasy"}'
