"""A release that extends another, and what cannot be extended."""

from __future__ import annotations

import polars as pl
import pytest

from recsys_pipeline.errors import ReleaseError, SettingsError
from recsys_pipeline.schemas.releases import INDEX_COLUMNS
from recsys_pipeline_tests.landed import all_days, event, land, run_days, settings_for
from recsys_pipeline_tests.releases import DAYS, day, release, small_root


@pytest.fixture
def root(tmp_path):
    return small_root(tmp_path / "root")


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
