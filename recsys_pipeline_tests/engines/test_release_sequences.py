"""Sequences and variants of a release."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.export import iter_batches, open_release
from recsys_pipeline.transforms.sequences import TYPE_CODES
from recsys_pipeline.transforms.variants import variants
from recsys_pipeline_tests.landed import START, event, land, run_days, settings_for
from recsys_pipeline_tests.releases import SPEC, release, rows_of, small_root

LENGTH = 4


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_root(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def made(root):
    return release(root, sequence_length=LENGTH)


def events_of(root, tenant="acme"):
    paths = Path(root).glob(f"validated_interactions/*/tenant={tenant}/*.parquet")
    frames = [pl.read_parquet(path, hive_partitioning=False) for path in paths]
    columns = ("user_id", "timestamp", "item_id", "interaction_type")
    return pl.concat(frames).select(columns).rows()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_row_has_its_users_last_events_before_it(root, made, split):
    every = events_of(root)
    vocabulary = open_release(made.uri).vocabulary("items")
    index = dict(vocabulary.select("id", "index").iter_rows())
    rows = rows_of(made, split)
    assert rows.height
    for row in rows.iter_rows(named=True):
        before = [e for e in every if e[0] == row["user_id"] and e[1] < row["timestamp"]]
        before.sort(key=lambda e: (e[2], e[3]))
        before.sort(key=lambda e: e[1], reverse=True)
        expected = before[:LENGTH][::-1]
        assert row["sequence_items"] == [index.get(e[2], 1) for e in expected]
        assert row["sequence_types"] == [TYPE_CODES[e[3]] for e in expected]
    assert rows["sequence_items"].list.len().max() == LENGTH


def test_they_are_the_same_by_user_or_by_time_and_change_nothing_else(root, made):
    plain = release(root)
    assert plain.manifest.release != made.manifest.release
    rows = rows_of(made, "train")
    assert rows.drop("sequence_items", "sequence_types").equals(rows_of(plain, "train"))
    assert plain.manifest.content.history is None
    assert made.manifest.content.history is not None


def test_a_late_event_before_the_window_makes_another_release(tmp_path):
    root = small_root(tmp_path)
    spec = replace(SPEC, first=START.replace(day=4), sequence_length=LENGTH)
    first = release(root, spec)
    assert not release(root, spec).is_new
    land(root, [event("acme", 0, 70_000, user="u1", item="i1", kind="view")], "late")
    run_days(settings_for(root), [START.replace(day=n) for n in range(1, 9)])
    assert release(root, spec).manifest.release != first.manifest.release


def test_the_loader_pads_before(made):
    opened = open_release(made.uri)
    rows = rows_of(made, "train")
    batches = list(iter_batches(opened, "train", 37, ["sequence_items", "sequence_types"]))
    for name in ("sequence_items", "sequence_types"):
        found = np.concatenate([batch[name] for batch in batches])
        assert found.shape == (rows.height, LENGTH)
        for padded, plain in zip(found.tolist(), rows[name].to_list(), strict=True):
            assert padded == [0] * (LENGTH - len(plain)) + plain


def test_variants_are_a_column(root):
    shares = (("control", 0.5), ("new", 0.5))
    made = release(root, experiment="ranker", variants=shares)
    rows = rows_of(made, "train")
    assert rows["variant"].equals(variants(rows["user_id"], "ranker", dict(shares)))
    assert rows["variant"].n_unique() == 2
    assert made.manifest.content.variants == dict(shares)
    other = release(root, experiment="other", variants=shares)
    assert other.manifest.release != made.manifest.release


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sequence_length": -1}, "--sequences"),
        ({"sequence_length": 1001}, "--sequences"),
        ({"experiment": "x"}, "--experiment"),
        ({"variants": (("a", 1.0),)}, "--experiment"),
        ({"experiment": "x", "variants": (("a", 0.9),)}, "--variants"),
    ],
)
def test_wrong_options(root, changes, words):
    with pytest.raises(SettingsError, match=words):
        release(root, **changes)
