"""What stops a release: its inputs, its options, rows that are not as they must be."""

from __future__ import annotations

import polars as pl
import pytest

from recsys_pipeline.engines.steps import SAMPLES
from recsys_pipeline.errors import ContractError, ReleaseError, SettingsError
from recsys_pipeline.storage.parquet_store import Content, ParquetStore
from recsys_pipeline_tests.landed import (
    all_days,
    event,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)
from recsys_pipeline_tests.releases import DAYS, QUIET, SEED, SPEC, day, release, small_root


@pytest.fixture
def root(tmp_path):
    return small_root(tmp_path / "root")


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
