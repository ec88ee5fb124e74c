"""Tables that an older contract made are read, shown as stale and made anew; its releases stay."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from recsys_pipeline.engines.effective import CODE_VERSIONS
from recsys_pipeline.engines.pending import standings
from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_diff import release_diff
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.export import iter_batches, open_release
from recsys_pipeline.schemas import releases as released
from recsys_pipeline.schemas.features import UserFeatures
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import SAMPLE_FEATURES
from recsys_pipeline.schemas.tables import CONTRACTS
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    file_hashes,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)

DAYS = 4
FEATURE = "cart_conversion_rate"
COLUMN = f"user_{FEATURE}"
SPEC = ReleaseSpec(
    "acme", START, START + timedelta(days=DAYS - 1), validation_days=1, test_days=1, shard_rows=60
)


def filled(root):
    settings = settings_for(root)
    land(root, random_events(3, 300, DAYS), "a")
    land(root, [item_version(item=f"i{n}") for n in range(14)], "b", "items")
    return settings


@pytest.fixture
def older(monkeypatch):
    """Return a function that acts as before `FEATURE` was there, or while it had another name."""

    def act(do, name=None):
        with monkeypatch.context() as patch:
            for table in ("user_features", "training_samples", "training_dataset"):
                patch.setitem(CODE_VERSIONS, table, "older")
            spool = ParquetStore.spool

            def spool_as_before(store, parts, schema):
                own = dict(schema)
                if FEATURE not in own:
                    return spool(store, parts, schema)
                kind = own.pop(FEATURE)
                if name is not None:
                    own[name] = kind
                    parts = (part.rename({FEATURE: name}) for part in parts)
                return spool(store, parts, own)

            patch.setattr(ParquetStore, "spool", spool_as_before)
            return do()

    return act


@pytest.mark.parametrize("name", [None, pytest.param("cart_rate", marks=pytest.mark.slow)])
def test_an_added_or_renamed_feature(tmp_path, older, name):
    settings, fresh = filled(tmp_path / "data"), filled(tmp_path / "fresh")
    less = tuple(c for c in SAMPLE_FEATURES if c != COLUMN)
    before = settings.model_copy(update={"sample_features": less})
    older(lambda: run_days(before, all_days(DAYS)), name)
    made = older(lambda: make_release(view_of(before, ["acme"]), SPEC))
    hashes = file_hashes(settings.storage_root)

    # what is read before the run that makes the days anew
    view = view_of(settings)
    for table in ("user_features", "training_samples"):
        schema = frame_schema(CONTRACTS[table])
        found = view.store.scan(table, view.partitions(table), schema).collect()
        column = FEATURE if table == "user_features" else COLUMN
        assert found.schema == schema
        assert found.height
        assert found[column].null_count() == found.height
    states = {s.asset: set() for s in standings(view)}
    for one in standings(view):
        states[one.asset].add(one.state)
    assert {name for name, seen in states.items() if seen != {"current"}} == {
        "user_features",
        "training_samples",
    }

    # made anew as if there had never been an older contract
    run_days(settings, all_days(DAYS))
    run_days(fresh, all_days(DAYS))
    assert {s.state for s in standings(view_of(settings))} == {"current"}
    assert file_hashes(settings.storage_root) == file_hashes(fresh.storage_root)
    assert file_hashes(settings.storage_root) != hashes

    # the release is what it was, and a new one beside it has the column
    objects = open_store(settings.storage_root)
    assert Releases(objects).verify(made.manifest) == []
    opened = open_release(made.manifest.release, settings.storage_root)
    batch = next(iter(iter_batches(opened, "train", 16)))
    assert COLUMN not in batch
    assert len(batch["label"]) == 16
    again = make_release(view_of(settings, ["acme"]), SPEC)
    assert again.manifest.release != made.manifest.release
    later = open_release(again.manifest.release, settings.storage_root)
    assert COLUMN in next(iter(iter_batches(later, "train", 16)))
    assert release_diff(made.manifest, again.manifest)


def test_a_held_day_goes_on_with_its_older_file(tmp_path, monkeypatch):
    """What later steps see of a held day is the file that was published before it was held."""
    settings = settings_for(tmp_path, quarantine_min_rows=10, quarantine_limit=0.6)
    land(tmp_path, random_events(3, 200, 2, tenants=("acme",)), "a")
    spool = ParquetStore.spool

    def without(store, parts, schema):
        return spool(store, parts, {n: k for n, k in schema.items() if n != "context"})

    with monkeypatch.context() as patch:
        patch.setattr(ParquetStore, "spool", without)
        run_days(settings, all_days(2), steps=["interactions"])
    bad = [
        row | {"interaction_type": "wink"} for row in random_events(4, 400, 2, tenants=("acme",))
    ]
    land(tmp_path, bad, "b")
    view = run_days(settings, all_days(2))
    held = [p for p in view.landed("interactions") if view.effective("interactions", p[0])[p].held]
    assert held
    rows = view.valid("interactions", held).collect()
    assert rows.height
    assert rows["context"].null_count() == rows.height


def test_contracts_name_what_the_tests_leave_out():
    assert FEATURE in frame_schema(UserFeatures)
    assert COLUMN in released.released_schema(SAMPLE_FEATURES)
    assert isinstance(frame_schema(UserFeatures)[FEATURE], pl.Float64)
