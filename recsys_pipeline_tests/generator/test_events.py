from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_pipeline.generator.calendar import HOURS, events_per_day, time_of_day
from recsys_pipeline.generator.config import DEFAULT_TYPES, GeneratorConfig
from recsys_pipeline.generator.events import BLOCK_EVENTS, event_blocks, event_frame
from recsys_pipeline.generator.items import Catalogue
from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.rules import rules
from recsys_pipeline.settings import INTERACTION_TYPES

START = date(2025, 1, 1)


def events(**values) -> pl.DataFrame:
    config = GeneratorConfig(start=START, file_format="parquet", **values)
    frames, first, sessions = [], 0, 0
    for block in event_blocks(config, Catalogue.of(config)):
        frames.append(event_frame(block, config, first_event=first, first_session=sessions))
        first += frames[-1].height
        sessions += block.sessions
    return pl.concat(frames)


@pytest.fixture(scope="module")
def default() -> pl.DataFrame:
    return events()


def test_the_default_has_the_numbers_asked_for(default):
    assert default.height == 100_000
    assert default["user_id"].n_unique() > 5_000
    assert default["item_id"].n_unique() > 4_000
    assert default["event_id"].n_unique() == 100_000
    days = default["timestamp"].dt.date()
    assert days.unique().sort().to_list() == [START + timedelta(days=d) for d in range(90)]
    assert default["timestamp"].is_sorted()


def test_shares_of_types(default):
    counts = dict(default["interaction_type"].value_counts().iter_rows())
    for name, percent in DEFAULT_TYPES.items():
        p = percent / 100
        noise = 5 * (p * (1 - p) * default.height) ** 0.5
        assert counts[name] == pytest.approx(p * default.height, abs=noise)


@pytest.mark.parametrize(
    "types",
    [{"purchase": 1.0}, {"click": 90.0, "purchase": 10.0}, {"view": 1.0, "purchase": 3.0}],
)
def test_any_mix_of_types(types):
    found = events(events=20_000, days=3, types=types)
    counts = dict(found["interaction_type"].value_counts().iter_rows())
    assert set(counts) == set(types)
    for name, weight in types.items():
        assert counts[name] / 20_000 == pytest.approx(weight / sum(types.values()), abs=0.02)


def test_a_fifth_of_the_users_makes_four_fifths_of_the_events(default):
    per_user = default["user_id"].value_counts().sort("count", descending=True)["count"]
    # of those who were active, and of all
    assert per_user.head(per_user.len() // 5).sum() / 100_000 == pytest.approx(0.8, abs=0.05)
    assert per_user.head(2_000).sum() / 100_000 == pytest.approx(0.8, abs=0.06)
    assert per_user[0] < 2_000


def test_the_share_of_active_users_holds_with_many_events_each():
    found = events(events=200_000, users=500, days=5, top_share=0.6)
    per_user = found["user_id"].value_counts().sort("count", descending=True)["count"]
    assert per_user.head(100).sum() / 200_000 == pytest.approx(0.6, abs=0.03)


def test_items_are_popular_like_zipf(default):
    per_item = default["item_id"].value_counts().sort("count", descending=True)["count"]
    assert 0.7 < per_item.head(1_000).sum() / 100_000 < 0.85


def test_a_purchase_follows_other_acts_on_the_item_in_its_session(default):
    visit = ["session_id", "user_id", "item_id"]
    bought = default.filter(pl.col("interaction_type") == "purchase")
    for before, share in (("view", 0.9), ("click", 0.85), ("add_to_cart", 0.4)):
        earlier = default.filter(pl.col("interaction_type") == before).select(
            *visit, pl.col("timestamp").alias("earlier")
        )
        led = bought.join(earlier, on=visit).filter(
            (pl.col("earlier") < pl.col("timestamp"))
            & (pl.col("timestamp") - pl.col("earlier") < timedelta(hours=1))
        )
        assert led["event_id"].n_unique() / bought.height > share, before


def test_a_session_is_one_user_on_one_device_within_hours(default):
    sessions = default.group_by("session_id").agg(
        pl.col("user_id").n_unique().alias("users"),
        pl.col("device").n_unique().alias("devices"),
        (pl.col("timestamp").max() - pl.col("timestamp").min()).alias("length"),
        pl.col("timestamp").dt.date().n_unique().alias("days"),
    )
    assert sessions["users"].max() == sessions["devices"].max() == sessions["days"].max() == 1
    assert sessions["length"].median() < timedelta(minutes=30)
    assert sessions["length"].max() < timedelta(hours=8)


def test_users_have_tastes(default):
    config = GeneratorConfig(start=START)
    category = Catalogue.of(config).category
    joined = default.with_columns(
        pl.Series("category", category[default["item_id"].str.slice(1).cast(pl.Int64)])
    )
    heavy = joined.filter(pl.len().over("user_id") >= 100)
    top = heavy.group_by("user_id", "category").len().group_by("user_id").agg(pl.col("len").max())
    sizes = heavy.group_by("user_id").len("total")
    favoured = top.join(sizes, on="user_id").select(pl.col("len") / pl.col("total")).to_series()
    overall = joined["category"].value_counts()["count"].max() / joined.height
    assert favoured.mean() > 1.8 * overall


def test_ratings_are_half_steps_mostly_on_likes_and_purchases(default):
    rated = default.drop_nulls("rating")
    assert 0.05 < rated.height / default.height < 0.2
    assert set((rated["rating"] * 2).to_list()) == set(range(1, 11))
    deep = rated["interaction_type"].is_in(["like", "purchase"]).mean()
    assert deep > 0.8


def test_hours_and_weekdays(default):
    hours = default["timestamp"].dt.hour().value_counts().sort("timestamp")["count"].to_numpy()
    expected = np.array(HOURS) / np.sum(HOURS)
    assert np.abs(hours / 100_000 - expected).max() < 0.01
    weekdays = default.group_by(pl.col("timestamp").dt.weekday().alias("w")).len().sort("w")["len"]
    assert weekdays[6] > 1.1 * weekdays[1]


def test_every_row_obeys_the_contract(default):
    rows = default.with_columns(
        pl.col("timestamp").dt.date().alias("date"),
        pl.lit("demo").alias("tenant"),
        pl.lit(None, pl.String).alias("context"),
    )
    for rule in rules(Interaction):
        assert rows.select(rule.obeyed.all()).item(), rule.code


def test_no_two_events_are_equal_without_event_ids():
    found = events(events=150_000, days=1, users=3, items=2, event_ids=False)
    assert "event_id" not in found.columns
    fields = ["user_id", "item_id", "interaction_type", "timestamp", "rating"]
    assert not found.select(pl.struct(fields).is_duplicated().any()).item()


def test_a_large_day_is_cut_into_blocks_in_order():
    config = GeneratorConfig(start=START, days=1, events=3 * BLOCK_EVENTS - 1)
    blocks = list(event_blocks(config, Catalogue.of(config)))
    assert sum(len(block.time) for block in blocks) == config.events
    assert all(len(block.time) <= BLOCK_EVENTS for block in blocks)
    assert all((np.diff(block.time) > 0).all() for block in blocks)
    medians = [float(np.median(block.time)) for block in blocks]
    assert medians == sorted(medians)
    midnight = datetime.combine(START, time(), UTC)
    for block in blocks:
        assert block.day == midnight.date()
        assert block.time[0] >= 0
        assert block.time[-1] < 86_400_000_000


@pytest.mark.parametrize("total", [10, 11, 1_000, 54_321])
def test_events_per_day_sum_and_none_is_empty(total):
    config = GeneratorConfig(start=START, days=10, events=total)
    per_day = events_per_day(config)
    assert per_day.sum() == total
    assert per_day.min() >= 1


def test_the_smallest_shop():
    found = events(events=1, days=1, users=1, items=1, categories=1)
    assert found.height == 1
    assert found["interaction_type"][0] in INTERACTION_TYPES


def test_time_of_day_keeps_to_the_day():
    times = time_of_day(np.array([0.0, 0.5, np.nextafter(1.0, 0.0)]))
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert times[-1] < 86_400_000_000
