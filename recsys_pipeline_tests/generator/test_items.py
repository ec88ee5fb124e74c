from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from recsys_pipeline.generator.categories import CATEGORIES
from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.items import ITEM_COLUMNS, Catalogue, item_frames
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.keys import UTC_TIME
from recsys_pipeline.schemas.rules import rules

START = date(2025, 1, 1)
NAMES = [
    "Electronics", "Smartphones", "Laptops", "Tablets", "Audio", "Headphones", "Speakers",
    "Cameras", "Wearables", "Smart Home", "Gaming", "Accessories",
]  # fmt: skip


def items(**values) -> pl.DataFrame:
    config = GeneratorConfig(start=START, **values)
    return pl.concat(item_frames(config, Catalogue.of(config)))


@pytest.fixture(scope="module")
def default() -> pl.DataFrame:
    return items()


def test_the_default_catalogue(default):
    assert tuple(default.columns) == ITEM_COLUMNS
    assert default.height == default["item_id"].n_unique() == 5_000
    assert set(default["category"]) == set(NAMES)
    assert default["brand"].n_unique() == 15
    assert default["title"].n_unique() > 4_900
    assert default.filter(pl.col("title").str.contains(",")).height > 0
    assert default.filter(pl.col("title").str.contains('"')).height > 0


def test_prices_fit_their_category(default):
    for category in CATEGORIES:
        prices = default.filter(pl.col("category") == category.name)["price"]
        assert prices.min() >= category.low
        assert prices.max() <= category.high
        assert prices.n_unique() > 10
    medians = dict(default.group_by("category").agg(pl.col("price").median()).iter_rows())
    assert medians["Accessories"] < medians["Headphones"] < medians["Laptops"]
    assert (default["price"] == default["price"].round(2)).all()


def test_every_item_obeys_the_contract(default):
    rows = default.with_columns(
        pl.lit(START).alias("date"),
        pl.lit("demo").alias("tenant"),
        pl.lit(None, UTC_TIME).alias("updated_at"),
        pl.lit(value=True).alias("available"),
        pl.lit(None, pl.String).alias("attributes"),
    )
    for rule in rules(Item):
        assert rows.select(rule.obeyed.all()).item(), rule.code


@pytest.mark.parametrize("brands", [1, 15, 40])
def test_any_number_of_brands(brands):
    assert items(brands=brands)["brand"].n_unique() == brands


def test_few_items_leave_categories_empty_and_draws_avoid_them():
    config = GeneratorConfig(start=START, items=3)
    catalogue = Catalogue.of(config)
    uniform = np.concatenate([np.linspace(0, 1, 999, endpoint=False), [np.nextafter(1.0, 0.0)]])
    drawn = catalogue.draw_category(uniform)
    item = catalogue.draw_item(drawn, uniform)
    assert set(item.tolist()) <= {0, 1, 2}
    assert (catalogue.category[item] == drawn).all()


def test_blocks_make_one_catalogue():
    found = items(items=70_000, categories=3)
    assert found["item_id"].n_unique() == 70_000
    assert found["item_id"].is_sorted()
    assert found["item_id"].str.len_chars().unique().to_list() == [6]
