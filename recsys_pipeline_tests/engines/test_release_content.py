"""What is in a release."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest

from recsys_pipeline.engines.steps import SAMPLES
from recsys_pipeline.schemas.releases import INDEX_COLUMNS
from recsys_pipeline_tests.landed import all_days, event, land, run_days, settings_for, view_of
from recsys_pipeline_tests.releases import (
    DAYS,
    QUIET,
    SPEC,
    day,
    release,
    rows_of,
    samples_of,
    small_root,
)

KEY = ["user_id", "item_id", "timestamp", "label"]


@pytest.fixture
def root(tmp_path):
    return small_root(tmp_path / "root")


def on(rows, first, last):
    return rows.filter(pl.col("timestamp").dt.date().is_between(day(first), day(last)))


def test_the_rows_are_those_of_the_samples_each_in_its_split_once(root):
    made = release(root)
    samples = samples_of(root)
    expected = {
        "train": on(samples, 0, 5),
        "validation": on(samples, 6, 6).filter(pl.col("label") == 1),
        "test": on(samples, 7, 7).filter(pl.col("label") == 1),
    }
    for split, rows in expected.items():
        found = rows_of(made, split).select(samples.columns)
        assert found.sort(samples.columns).equals(rows.sort(samples.columns)), split
    with_negatives = release(root, evaluation_negatives=True)
    assert rows_of(with_negatives, "test").height == on(samples, 7, 7).height
    assert with_negatives.manifest.content.folds[0].left_out == 0


def test_every_fold_of_rolling_pairs_is_whole(root):
    made = release(root, split="rolling", folds=2, train_days=3)
    samples = samples_of(root)
    for fold, (first, last) in {"fold-1": (3, 5), "fold-2": (4, 6)}.items():
        train = rows_of(made, f"{fold}/train").select(samples.columns)
        rows = on(samples, first, last)
        assert train.sort(samples.columns).equals(rows.sort(samples.columns))
        held = rows_of(made, f"{fold}/validation")
        assert held.height == on(samples, last + 1, last + 1)["label"].sum()
        check_indices(made, f"{fold}/")


def test_leave_last_out_holds_out_each_users_last_positives_and_warns(root):
    made = release(root, split="leave-last-out")
    positives = samples_of(root).filter(pl.col("label") == 1).sort(*KEY)
    for split, place in (("test", -1), ("validation", -2)):
        latest = {
            user: part.row(place)[:4]
            for (user,), part in positives.select("user_id", "timestamp", "item_id", "label")
            .sort("timestamp", "item_id")
            .group_by("user_id", maintain_order=True)
            if part.height >= 1 - place
        }
        found = rows_of(made, split).select("user_id", "timestamp", "item_id", "label")
        assert sorted(found.rows()) == sorted(latest.values())
    assert any("leave-last-out" in warning for warning in made.manifest.content.warnings)
    assert not release(root).manifest.content.warnings
    check_indices(made, "")


def check_indices(made, fold: str) -> None:
    """Every integer is that of its id; vocabularies and what is cold are of train alone."""
    train = rows_of(made, f"{fold}train")
    for name, column in (
        ("users", "user_id"),
        ("items", "item_id"),
        ("categories", "item_category"),
        ("brands", "item_brand"),
    ):
        vocabulary = pl.read_parquet(f"{made.uri}/{fold}vocabularies/{name}.parquet")
        first: dict = {}
        for value, at in train.select(column, "timestamp").iter_rows():
            if value is not None:
                first[value] = min(first.get(value, at), at)
        ordered = sorted(first, key=lambda value: (first[value], value))
        assert vocabulary["id"].to_list() == ordered
        assert vocabulary["index"].to_list() == list(range(2, 2 + len(ordered)))
        known = {None: 0} | {value: 2 + n for n, value in enumerate(ordered)}
        for split in made.manifest.content.folds[0].days:
            rows = rows_of(made, f"{fold}{split}")
            expected = [known.get(value, 1) for value in rows[column]]
            assert rows[INDEX_COLUMNS[name]].to_list() == expected
    met = train.filter(pl.col("label") == 1)
    for split in made.manifest.content.folds[0].days:
        rows = rows_of(made, f"{fold}{split}")
        assert rows["cold_user"].to_list() == [
            u not in set(met["user_id"]) for u in rows["user_id"]
        ]
        assert rows["cold_item"].to_list() == [
            i not in set(met["item_id"]) for i in rows["item_id"]
        ]
    counted = Counter(met["item_id"])
    frequencies = pl.read_parquet(f"{made.uri}/{fold}item_frequencies.parquet")
    assert dict(frequencies.select("item_id", "positives").iter_rows()) == {
        item: counted[item] for item in frequencies["item_id"]
    }


def test_indices_vocabularies_and_frequencies_are_of_train_alone(root):
    # a user and an item that come late, so that something is cold
    late = [event("acme", 7, 80_000, "late-user", "late-item", "click")]
    land(root, late, "late")
    run_days(settings_for(root), all_days(DAYS))
    made = release(root)
    check_indices(made, "")
    test = rows_of(made, "test").filter(pl.col("user_id") == "late-user")
    assert test.select("user_index", "cold_user", "cold_item").rows() == [(1, True, True)]
    listed = pl.read_parquet(f"{made.uri}/catalogue.parquet")
    items = dict(
        pl.read_parquet(f"{made.uri}/vocabularies/items.parquet")["id", "index"].iter_rows()
    )
    assert listed["item_index"].to_list() == [items.get(item, 1) for item in listed["item_id"]]
    assert listed.height == 14


def test_the_manifest_says_what_the_files_hold(root):
    made = release(root)
    content = made.manifest.content
    for file in content.files:
        assert (
            pl.read_parquet(f"{made.uri}/{file.path}", hive_partitioning=False).height == file.rows
        )
    shards = [f for f in content.files if f.path.startswith("train/")]
    assert len(shards) == -(-sum(file.rows for file in shards) // SPEC.shard_rows)
    train = rows_of(made, "train")
    assert content.folds[0].rows["train"] == {
        "positives": int(train["label"].sum()),
        "negatives": int((train["label"] == 0).sum()),
    }
    assert [(c.name, c.dtype) for c in content.columns] == [
        (name, str(dtype)) for name, dtype in train.schema.items()
    ]
    from recsys_pipeline.schemas.releases import ADDED, SEQUENCE_COLUMNS

    added = set(ADDED) - {*SEQUENCE_COLUMNS, "variant"}  # those are asked for
    assert set(train.columns) - set(samples_of(root).columns) == added
    nulls = {name for name in train.columns if train[name].null_count()}
    assert nulls <= {c.name for c in content.columns if c.nullable}
    view = view_of(settings_for(root))
    assert {d: i.content for d, i in content.inputs.items()} == {
        d: view.records(SAMPLES, d)["acme"].content for d in all_days(DAYS) if d != day(QUIET)
    }
    assert {check.name for check in content.checks} == {
        "split_order", "conservation", "vocabularies",
    }  # fmt: skip


def test_a_release_of_mixed_negatives_names_the_mix_and_the_source_of_each(root):
    from recsys_pipeline.engines.release import make_release

    assert "sampling_mix" not in release(root).manifest.content.settings
    mix = {"category": 2.0, "uniform": 1.0, "viewed": 1.0}
    config = settings_for(root, negative_strategy="mixed", negative_mix=mix)
    run_days(config, all_days(DAYS))
    made = make_release(view_of(config, ["acme"]), SPEC)
    assert made.manifest.content.settings["sampling_mix"] == mix
    sources = set(rows_of(made, "train")["negative_source"].unique())
    assert sources == {None, "category", "uniform", "viewed"}
    # read back from its file, the same release is found
    again = make_release(view_of(config, ["acme"]), SPEC)
    assert not again.is_new
    assert again.manifest == made.manifest


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pieces_of_a_day_hold_all_rows_of_their_users(root, monkeypatch, size):
    from recsys_pipeline.engines import release_rows
    from recsys_pipeline.schemas.rules import frame_schema
    from recsys_pipeline.schemas.samples import TrainingSample
    from recsys_pipeline.transforms.shuffle import occurrences

    monkeypatch.setattr(release_rows, "PIECE_ROWS", size)
    view = view_of(settings_for(root))
    schema = frame_schema(TrainingSample)
    whole = view.store.scan(SAMPLES, [(day(4), "acme")], schema).drop("date", "tenant").collect()
    pieces = list(release_rows.sample_pieces(view, (day(4), "acme"), whole.height, schema))
    users = [set(piece["user_id"]) for piece in pieces]
    assert sum(map(len, users)) == len(set().union(*users))
    assert pl.concat(pieces).equals(whole.with_columns(occurrences(whole)))
    assert len(pieces) > 1 or size == 100
