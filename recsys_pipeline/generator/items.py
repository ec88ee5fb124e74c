"""The catalogue: items with a category, a popularity rank, a quality, and words by Faker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.generator.categories import BRANDS, CATEGORIES, Category
from recsys_pipeline.generator.zipf import Zipf, zipf_with_top_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from recsys_pipeline.generator.config import GeneratorConfig

ITEM_COLUMNS = ("item_id", "title", "category", "price", "brand", "description")
BLOCK_ITEMS = 65_536
_POOL = 400
_STREAM_CATALOGUE, _STREAM_WORDS = 1, 2


@dataclass(frozen=True)
class Catalogue:
    """What the events need to know of the items; 13 bytes an item.

    Attributes:
        category: int8 (items,), index into the categories in use.
        quality: float32 (items,), mean rating.
        ranked: int32 (items,), items grouped by category, most popular first.
        starts: int64 (categories + 1,), where each category begins in `ranked`.
        share: float64 (categories,), cumulative weight of the categories.
        popularity: Distribution of visits over the ranks within a category.
    """

    category: NDArray[np.int8]
    quality: NDArray[np.float32]
    ranked: NDArray[np.int32]
    starts: NDArray[np.int64]
    share: NDArray[np.float64]
    popularity: Zipf

    @classmethod
    def of(cls, config: GeneratorConfig) -> Catalogue:
        """Make the catalogue of a configuration; a category may be empty if items are few."""
        rng = np.random.default_rng([config.seed, _STREAM_CATALOGUE])
        weights = np.array([c.weight for c in used_categories(config)], np.float64)
        probability = weights / weights.sum()
        category = np.searchsorted(
            np.cumsum(probability)[:-1], rng.random(config.items), "right"
        ).astype(np.int8)
        sizes = np.bincount(category, minlength=len(weights))
        shuffled = rng.permutation(config.items).astype(np.int32)
        ranked = shuffled[np.argsort(category[shuffled], kind="stable")]
        visits = np.where(sizes > 0, weights, 0.0)
        return cls(
            category=category,
            quality=rng.normal(3.8, 0.45, config.items).astype(np.float32),
            ranked=ranked,
            starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            share=np.cumsum(visits / visits.sum()),
            popularity=zipf_with_top_share(0.75),
        )

    def draw_category(self, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """Draw categories by weight."""
        drawn = np.searchsorted(self.share[:-1], uniform, "right")
        # rounding in `share` may leave a sliver behind the last category that has items
        last = int(np.flatnonzero(np.diff(self.starts))[-1])
        return np.minimum(drawn, last)

    def draw_item(
        self, category: NDArray[np.int64], uniform: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Draw an item of each category by popularity."""
        size = self.starts[category + 1] - self.starts[category]
        drawn: NDArray[np.int32] = self.ranked[
            self.starts[category] + self.popularity.ranks(uniform, size)
        ]
        return drawn


def used_categories(config: GeneratorConfig) -> tuple[Category, ...]:
    """Return the categories in use."""
    return CATEGORIES[: config.categories]


def item_ids(index: pl.Expr, config: GeneratorConfig) -> pl.Expr:
    """Return the ids of items, `p00042`, all of one width."""
    return numbered("p", index, item_id_width(config))


def item_id_width(config: GeneratorConfig) -> int:
    """Return the digits of an item's id."""
    return max(5, len(str(config.items - 1)))


def numbered(prefix: str, index: pl.Expr, width: int) -> pl.Expr:
    """Return `prefix` and the index with leading zeros."""
    # 10^width + i, without its first digit: faster than padding
    digits = (index.cast(pl.Int64) + 10**width).cast(pl.String).str.slice(1)
    return pl.concat_str(pl.lit(prefix), digits)


@dataclass(frozen=True)
class _Words:
    """Pools of words; Faker is too slow to be asked per item."""

    brands: list[str]
    series: list[str]
    colours: list[str]
    phrases: list[str]
    claims: list[str]

    @classmethod
    def of(cls, config: GeneratorConfig) -> _Words:
        from faker import Faker

        fake = Faker("en_US")
        fake.seed_instance(config.seed)
        made = dict.fromkeys(BRANDS)
        while len(made) < config.brands:
            made[f"{fake.unique.last_name()} {fake.company_suffix()}"] = None
        return cls(
            brands=list(made)[: config.brands],
            series=[fake.last_name() for _ in range(_POOL)],
            colours=[fake.color_name() for _ in range(_POOL)],
            phrases=[fake.catch_phrase() for _ in range(_POOL)],
            claims=[fake.bs() for _ in range(_POOL)],
        )


def item_frames(config: GeneratorConfig, catalogue: Catalogue) -> Iterator[pl.DataFrame]:
    """Yield the catalogue in blocks of `ITEM_COLUMNS`: strings, and `price` as float64."""
    words = _Words.of(config)
    for block, first in enumerate(range(0, config.items, BLOCK_ITEMS)):
        index = np.arange(first, min(first + BLOCK_ITEMS, config.items))
        rng = np.random.default_rng([config.seed, _STREAM_WORDS, block])
        yield _item_frame(config, catalogue, words, index, rng)


def _item_frame(
    config: GeneratorConfig,
    catalogue: Catalogue,
    words: _Words,
    index: NDArray[np.int64],
    rng: np.random.Generator,
) -> pl.DataFrame:
    n = len(index)
    categories = used_categories(config)
    category = catalogue.category[index].astype(np.int64)
    nouns = np.array([c.nouns[i % len(c.nouns)] for c in categories for i in range(12)])
    brand = rng.integers(0, len(words.brands), n)

    def pick(pool: list[str]) -> pl.Series:
        return pl.Series(pool).gather(rng.integers(0, len(pool), n))

    frame = pl.DataFrame(
        {
            "index": index,
            "category": pl.Series([c.name for c in categories]).gather(category),
            "price": _prices(categories, category, brand / len(words.brands), rng),
            "brand": pl.Series(words.brands).gather(brand),
            "noun": pl.Series(nouns).gather(category * 12 + rng.integers(0, 12, n)),
            "series": pick(words.series),
            "colour": pick(words.colours),
            "phrase": pick(words.phrases),
            "claim": pick(words.claims),
            "model": rng.integers(10, 1000, n),
        }
    )
    # "MediumSeaGreen" is one of Faker's colours
    colour = pl.col("colour").str.replace_all(r"([a-z])([A-Z])", "$1 $2")
    return frame.select(
        item_ids(pl.col("index"), config).alias("item_id"),
        pl.format("{} {} {} {}, {}", "brand", "series", "model", "noun", colour).alias("title"),
        "category",
        "price",
        "brand",
        pl.format("{}. {} with this {}.", "phrase", _sentence("claim"), "noun").alias(
            "description"
        ),
    )


def _sentence(column: str) -> pl.Expr:
    return pl.col(column).str.slice(0, 1).str.to_uppercase() + pl.col(column).str.slice(1)


def _prices(
    categories: tuple[Category, ...],
    category: NDArray[np.int64],
    tier: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw prices between the category's bounds: log-scaled, dearer brands, .99 and .00 ends."""
    low = np.array([c.low for c in categories])[category]
    high = np.array([c.high for c in categories])[category]
    place = np.clip(rng.beta(2.0, 3.0, len(category)) * 0.85 + 0.15 * tier, 0, 1)
    whole = np.floor(low * (high / low) ** place)
    cents = np.array([99, 99, 99, 95, 49, 0])[rng.integers(0, 6, len(category))]
    prices: NDArray[np.float64] = np.minimum(whole * 100 + cents, high * 100) / 100
    return prices
