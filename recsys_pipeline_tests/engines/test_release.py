"""Releases: what is in them, that they depend on nothing but their inputs, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta

import polars as pl
import pytest

from recsys_pipeline.engines.release_diff import release_diff
from recsys_pipeline.engines.steps import SAMPLES
from recsys_pipeline.errors import ContractError, ReleaseError, SettingsError
from recsys_pipeline.schemas.releases import INDEX_COLUMNS
from recsys_pipeline.storage.parquet_store import Content, ParquetStore
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    event,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)
from recsys_pipeline_tests.releases import (
    DAYS,
    QUIET,
    SEED,
    SPEC,
    release,
    rows_of,
    samples_of,
    small_root,
)

KEY = ["user_id", "item_id", "timestamp", "label"]


@pytest.fixture
def root(tmp_path):
    return small_root(tmp_path / "root")


def file_bytes(made) -> dict[str, str]:
    return {file.path: file.blake2b for file in made.manifest.content.files}


def day(number):
    return START + timedelta(days=number)


def on(rows, first, last):
    return rows.filter(pl.col("timestamp").dt.date().is_between(day(first), day(last)))


# --- what is in it


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


# --- the same inputs give the same release


def test_it_is_found_the_second_time_and_nothing_is_written(root):
    made = release(root)
    stamps = {p: p.stat().st_mtime_ns for p in (root / "training_dataset").rglob("*")}
    again = release(root)
    assert (made.is_new, again.is_new) == (True, False)
    assert again.manifest == made.manifest
    assert {p: p.stat().st_mtime_ns for p in (root / "training_dataset").rglob("*")} == stamps
    other = release(root, seed=1)
    assert other.manifest.release != made.manifest.release
    assert other.is_new


def test_a_release_made_anew_has_the_same_bytes_and_is_not_replaced(root, monkeypatch):
    from recsys_pipeline.storage.releases import Releases

    made = release(root)
    stamps = {p: p.stat().st_mtime_ns for p in (root / "training_dataset").rglob("*")}
    monkeypatch.setattr(Releases, "find", lambda *_: None)  # as if the recipe were another
    again = release(root)
    assert not again.is_new
    assert again.manifest == made.manifest
    assert {p: p.stat().st_mtime_ns for p in (root / "training_dataset").rglob("*")} == stamps


@pytest.mark.slow
def test_order_of_rows_days_and_runs_changes_no_byte(root, tmp_path, monkeypatch):
    from recsys_pipeline.engines import release_rows, scatter

    made = release(root)
    other = tmp_path / "other"
    events = random_events(SEED, 700, DAYS)
    land(other, events[::-1][:350], "a")
    land(other, events[::-1][350:], "b")
    items = [
        item_version(item=f"i{n}", category=f"c{n % 3}", brand=None if n % 4 else f"b{n % 5}")
        for n in reversed(range(14))
    ]
    land(other, items, "b", "items")
    config = settings_for(other)
    for one in reversed(all_days(DAYS)):
        run_days(config, [one])
    run_days(config, all_days(DAYS))
    monkeypatch.setattr(scatter, "RUN_ROWS", 7)
    monkeypatch.setattr(release_rows, "PIECE_ROWS", 9)
    again = release(other)
    assert file_bytes(again) == file_bytes(made)
    assert again.manifest.release == made.manifest.release


_CHILD = """
import sys
from recsys_pipeline_tests.releases import release
print(release(sys.argv[1]).manifest.release)
"""


@pytest.mark.slow
def test_threads_change_no_byte(root, tmp_path):
    found = set()
    for threads in (1, 2):
        copied = tmp_path / f"with-{threads}"
        shutil.copytree(root, copied)
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(copied)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "POLARS_MAX_THREADS": str(threads)},
        )
        found.add(done.stdout.strip())
    assert found == {release(root).manifest.release}


def test_the_shards_are_the_order_of_the_shuffle_whatever_their_number(root):
    few, many = release(root, shard_rows=10**6), release(root, shard_rows=20)
    columns = few.manifest.content.columns
    names = [column.name for column in columns]
    assert rows_of(few, "train").select(names).equals(rows_of(many, "train").select(names))
    sizes = [f.rows for f in many.manifest.content.files if f.path.startswith("train/")]
    assert len(sizes) > 10
    assert max(sizes) < 60


# --- extending


def test_an_extended_release_keeps_its_parents_integers(root):
    parent = release(root, last=day(5))
    land(root, [event("acme", 4, 5, "new", "new-item", "click")], "new")
    run_days(settings_for(root), all_days(DAYS))
    child = release(root, extend=parent.manifest.release[:8])
    for name in INDEX_COLUMNS:
        before = pl.read_parquet(f"{parent.uri}/vocabularies/{name}.parquet")
        after = pl.read_parquet(f"{child.uri}/vocabularies/{name}.parquet")
        assert after.head(before.height).equals(before)
        assert after["index"].to_list() == list(range(2, 2 + after.height))
    users = pl.read_parquet(f"{child.uri}/vocabularies/users.parquet")
    assert "new" in users["id"]
    assert child.manifest.content.parent == parent.manifest.release
    alone = release(root)
    assert alone.manifest.release != child.manifest.release


def test_what_cannot_be_extended_is_named(root):
    parent = release(root)
    with pytest.raises(ReleaseError, match="nope"):
        release(root, extend="nope")
    with pytest.raises(ReleaseError, match="is not there"):
        release(root, tenant="beta", extend=parent.manifest.release)
    with pytest.raises(SettingsError, match="--extend"):
        release(root, extend=parent.manifest.release, split="rolling")
    rolling = release(root, split="rolling", folds=1)
    with pytest.raises(ReleaseError, match="can't be extended"):
        release(root, extend=rolling.manifest.release)
    vocabulary = root / f"{parent.uri}/vocabularies/users.parquet"
    vocabulary.write_bytes(vocabulary.read_bytes()[:-1] + b"x")
    with pytest.raises(ReleaseError, match="verify"):
        release(root, extend=parent.manifest.release)


# --- what is refused


def test_a_stale_day_is_named_with_its_cure_and_can_not_be_left_out(root):
    land(root, [event("acme", 2, 1, "u1", "i1", "click")], "late")
    run = f"recsys run --from {day(0)} --to {day(7)} --tenant acme"
    for allow in (False, True):
        with pytest.raises(ReleaseError, match=rf"{day(2)}.* stale.*{run}"):
            release(root, allow_missing=allow)
    assert release(root, last=day(1), test_days=0).is_new  # what came before is current
    run_days(settings_for(root), all_days(DAYS))
    assert release(root).is_new


def test_a_missing_day_is_named_or_left_out(tmp_path):
    land(tmp_path, random_events(SEED, 300, DAYS, ("acme",)), "a")
    config = settings_for(tmp_path)
    run_days(config, [d for d in all_days(DAYS) if d != day(4)])
    with pytest.raises(ReleaseError, match=rf"{day(4)} is missing.*--allow-missing"):
        release(tmp_path)
    made = release(tmp_path, allow_missing=True)
    assert day(4) not in made.manifest.content.inputs
    assert made.manifest.content.warnings == (f"{day(4)} is left out: it is missing",)


def test_a_held_day_is_named_or_left_out(tmp_path):
    from dataclasses import replace

    from recsys_pipeline.engines.release import make_release

    land(tmp_path, random_events(SEED, 300, DAYS, ("acme",)), "a")
    land(tmp_path, [event("acme", 4, n, f"x{n}", "i1", "wink") for n in range(200)], "bad")
    config = settings_for(tmp_path, quarantine_limit=0.5, quarantine_min_rows=30)
    run_days(config, all_days(DAYS))
    with pytest.raises(
        ReleaseError, match=rf"{day(4)} is held.*accept --tenant acme --date {day(4)}"
    ):
        make_release(view_of(config, ["acme"]), SPEC)
    made = make_release(view_of(config, ["acme"]), replace(SPEC, allow_missing=True))
    assert f"{day(4)} is left out: it is held" in made.manifest.content.warnings


def test_windows_and_splits_that_make_no_sense_are_named(root):
    for changes, culprit in (
        ({"first": day(-1)}, "--from"),
        ({"last": day(-1)}, "--to"),
        ({"split": "random"}, "random"),
        ({"validation_days": 7}, "hold out 8 of the 8"),
        ({"test_days": -1}, "--test-days"),
        ({"shard_rows": 0}, "--shard-rows"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**63}, "--seed"),
    ):
        with pytest.raises(SettingsError, match=culprit):
            release(root, **changes)
    with pytest.raises(ReleaseError, match="no rows from"):
        release(root, tenant="nobody")
    with pytest.raises(ReleaseError, match="no row to train on"):
        release(root, first=day(QUIET), last=day(QUIET + 2))


def tampered(root, change) -> None:
    """Publish other samples of a day under the inputs of the true ones."""
    view = view_of(settings_for(root))
    store: ParquetStore = view.store
    record = view.records(SAMPLES, day(4))["acme"]
    frame = store.scan(SAMPLES, [(day(4), "acme")]).collect()
    content = Content(change(frame), record.inputs, record.counts)
    store.publish(SAMPLES, day(4), {"acme": content}, view.pin)


def test_a_train_row_later_than_validation_stops_the_release(root):
    later = pl.when(pl.int_range(pl.len()) == 0).then(pl.duration(days=2)).otherwise(pl.duration())
    tampered(root, lambda frame: frame.with_columns(pl.col("timestamp") + later))
    with pytest.raises(ContractError, match=r"split train.*later than rows of validation"):
        release(root)
    assert not (root / "training_dataset").exists()
    assert list((root / "_meta" / "unfinished").iterdir()) == []


def test_samples_that_are_not_in_the_order_of_users_stop_the_release(root):
    tampered(root, lambda frame: frame.reverse())
    with pytest.raises(ContractError, match=r"not sorted by user_id.*--force"):
        release(root)


def test_a_fold_whose_rows_get_lost_stops_the_release(root, monkeypatch):
    from recsys_pipeline.engines import release_fold

    real = release_fold.shuffled
    monkeypatch.setattr(release_fold, "shuffled", lambda rows: real(rows).head(5))
    with pytest.raises(ContractError, match="not conserved"):
        release(root)
    assert not (root / "training_dataset").exists()


def test_a_vocabulary_that_lacks_a_train_id_stops_the_release(root, monkeypatch):
    from recsys_pipeline.engines import release_fold

    real = release_fold.extend
    monkeypatch.setattr(release_fold, "extend", lambda *given: real(*given).tail(3))
    with pytest.raises(ContractError, match="vocabularies"):
        release(root)


# --- differences


def test_a_diff_says_what_changed_and_nothing_else(root):
    old = release(root).manifest
    assert release_diff(old, old) == {}
    seeded = release_diff(old, release(root, seed=7).manifest)
    assert seeded == {"settings": {"shuffle_seed": (old.content.seed, 7)}}
    land(root, [event("acme", 7, 80_000, "late", "i1", "click")], "late")
    run_days(settings_for(root), all_days(DAYS))
    changed = release_diff(old, release(root).manifest)
    assert set(changed) == {"rows", "inputs"}
    assert set(changed["inputs"]) == {str(day(7))}
    before, after = changed["rows"]["test positives"]
    assert after == before + 1
    config = settings_for(root, negative_ratio=1, sample_features=("user_num_views",))
    run_days(config, all_days(DAYS))
    from recsys_pipeline.engines.release import make_release

    other = release_diff(old, make_release(view_of(config, ["acme"]), SPEC).manifest)
    assert other["settings"]["sampling_ratio"] == (old.content.settings["sampling_ratio"], 1)
    assert other["columns"]["category_index"] == ("Int64", None)
    assert other["vocabularies"]["categories"][1] == 0


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
