"""Gates on ratios measured in one process: a change that loses an order of magnitude fails here."""

from __future__ import annotations

import statistics
import time
from datetime import date

import polars as pl
import pytest

from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.generate import generate
from recsys_pipeline.transforms.event_pass import EventPass
from recsys_pipeline.transforms.item_features import item_features
from recsys_pipeline.transforms.merge import Merge
from recsys_pipeline.transforms.state import State
from recsys_pipeline.transforms.user_features import user_features
from recsys_pipeline_tests import plain_features
from recsys_pipeline_tests.transforms.strategies import WEIGHTS

pytestmark = pytest.mark.slow

START, DAYS = date(2025, 1, 1), 60
LAST = date(2025, 3, 1)


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> pl.DataFrame:
    """Half a million events of 60 days."""
    folder = tmp_path_factory.mktemp("speed")
    config = GeneratorConfig(
        start=START, days=DAYS, users=50_000, items=10_000, events=500_000, event_ids=False,
        file_format="parquet",
    )  # fmt: skip
    generate(config, folder)
    return (
        pl.read_parquet(folder / "interactions.parquet")
        .select("user_id", "item_id", "interaction_type", "timestamp", "rating")
        .with_columns(date=pl.col("timestamp").dt.date(), tenant=pl.lit("acme"))
        .sort("date", "user_id", "timestamp", "item_id")
    )


def seconds(work) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def features(events: pl.DataFrame, state: State) -> tuple[pl.DataFrame, pl.DataFrame]:
    one = EventPass(state, events)
    return user_features(one, "acme", [LAST]), item_features(one, "acme", [LAST], WEIGHTS)


def plain(events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return (
        plain_features.user_features(events.lazy(), [LAST]).collect(),
        plain_features.item_features(events.lazy(), [LAST], WEIGHTS).collect(),
    )


def test_kernels_are_faster_than_plain_polars_and_a_new_day_than_all_days(events):
    before = Merge(EventPass(State.empty(), events.filter(pl.col("date") < LAST))).state()
    day = events.filter(pl.col("date") == LAST)
    whole = features(events, State.empty())
    for mine, by_day, slow in zip(whole, features(day, before), plain(events), strict=True):
        assert mine.equals(by_day)
        assert mine.equals(slow)
    from_scratch = seconds(lambda: features(events, State.empty()))
    new_day = seconds(lambda: features(day, before))
    plainly = seconds(lambda: plain(events))
    assert from_scratch < plainly / 1.5
    assert new_day < from_scratch / 4
