from __future__ import annotations

import random

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.transforms.shuffle import (
    KEY,
    occurrences,
    shard_of,
    shuffle_words,
    shuffled,
)
from recsys_pipeline_tests import oracles
from recsys_pipeline_tests.transforms.release_rows import frame, numbered, rows

words = st.lists(st.integers(0, 2**64 - 1), min_size=1)


@settings(max_examples=40, deadline=None)
@given(rows(), st.randoms(use_true_random=False))
def test_repeats_are_numbered_by_what_else_they_say(listed, rng):
    table = numbered(listed)
    for _, part in table.group_by(KEY):
        assert sorted(part["occurrence"]) == list(range(part.height))
        others = part.sort("occurrence")["negative_source"].to_list()
        assert others == sorted(others, key=lambda value: value or "")
    order = list(range(table.height))
    rng.shuffle(order)
    again = frame(listed)[order] if order else frame(listed)
    again = again.with_columns(occurrences(again))
    names = [*KEY, "occurrence", "negative_source"]
    assert again.select(names).sort(names).equals(table.select(names).sort(names))


@settings(max_examples=25, deadline=None)
@given(rows(8), st.sampled_from([0, 7, 2**63 - 1]), st.sampled_from(["train", "fold-1/test"]))
def test_a_word_is_the_hash_of_what_the_row_says(listed, seed, split):
    table = numbered(listed)
    expected = []
    for row in table.iter_rows(named=True):
        micros = int(row["timestamp"].timestamp()) * 1_000_000
        state = oracles.fold(oracles.fold(0, seed), oracles.hash_string(split))
        for word in (
            oracles.hash_string(row["user_id"]),
            oracles.hash_string(row["item_id"]),
            micros,
            int(row["label"]),
            row["occurrence"],
        ):
            state = oracles.fold(state, word)
        expected.append(state)
    assert shuffle_words(table, seed, split).tolist() == expected


@given(words, st.integers(1, 2**31))
def test_shards_are_equal_ranges_of_words(values, shards):
    found = shard_of(np.array(values, np.uint64), shards)
    assert found.tolist() == [((value >> 32) * shards) >> 32 for value in values]
    assert found.min() >= 0
    assert found.max() < shards
    ascending = shard_of(np.array(sorted(values), np.uint64), shards)
    assert (np.diff(ascending) >= 0).all()


def test_rows_with_equal_words_stand_in_the_order_of_what_they_say():
    listed = [
        {"user_id": u, "item_id": i, "label": 1.0, "timestamp": None, "negative_source": None}
        for u in ("b", "a") for i in ("2", "1")
    ]  # fmt: skip
    table = pl.DataFrame(listed).with_columns(
        pl.lit(0, pl.Int64).alias("occurrence"), pl.Series("word", [5, 5, 5, 1], dtype=pl.UInt64)
    )
    for seed in range(5):
        order = random.Random(seed).sample(range(4), 4)
        found = shuffled(table[order]).select("user_id", "item_id").rows()
        assert found == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]


def test_places_are_spread_evenly():
    """Chi-square of 20,000 rows over 16 shards, 15 degrees of freedom: below the 99.9th percentile."""
    count, shards = 20_000, 16
    table = pl.DataFrame(
        {
            "user_id": [f"u{n % 500}" for n in range(count)],
            "item_id": [f"i{n // 500}" for n in range(count)],
            "timestamp": pl.Series([0] * count).cast(pl.Datetime("us", "UTC")),
            "label": [1.0] * count,
            "occurrence": [0] * count,
        }
    )
    found = np.bincount(shard_of(shuffle_words(table, 1, "train"), shards), minlength=shards)
    expected = count / shards
    assert ((found - expected) ** 2 / expected).sum() < 37.7
