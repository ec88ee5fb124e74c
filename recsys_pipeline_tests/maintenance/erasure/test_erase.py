"""Somebody who was erased is nowhere, and does not come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys_pipeline.engines.pending import STORED
from recsys_pipeline.errors import ReleaseError, SettingsError
from recsys_pipeline.export import iter_batches, open_release
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline.maintenance.erasure import erase as module
from recsys_pipeline.maintenance.erasure.erase import erase, finish
from recsys_pipeline.maintenance.erasure.receipt import receipts
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.landed import all_days, run_days, settings_for
from recsys_pipeline_tests.maintenance.erasure.conftest import (
    DAYS,
    USER,
    Filled,
    events,
    fill,
)
from recsys_pipeline_tests.maintenance.erasure.finding import holds, layers_with

LAYERS = {
    "raw_interactions",
    "validated_interactions",
    "quarantined_interactions",
    "user_features",
    "training_samples",
    "_meta/state",
    "release rows",
    "release vocabularies",
}
IDS = frozenset({(USER, None)})


def of_beta(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Leave out what is another tenant's."""
    return {
        layer: left
        for layer, paths in found.items()
        if (left := [path for path in paths if "tenant=beta" not in path and "/beta/" not in path])
    }


def published(root: str) -> dict[str, bytes | None]:
    """Return every published file."""
    objects = open_store(root)
    return {path: objects.read(path) for table in STORED for path in objects.list(f"{table}/")}


def others(root: str) -> dict[str, list[str]]:
    """Return the rows of `raw_interactions` that name nobody erased, as text."""
    landed = Landing(root, "interactions").snapshot().scan().sort("position").collect()
    return landed.write_ndjson().splitlines()


@pytest.mark.parametrize(
    "filled", ["local", pytest.param("s3", marks=pytest.mark.slow)], indirect=True
)
def test_a_user_is_found_in_every_layer_and_then_in_none(filled: Filled):
    before = others(filled.root)
    assert set(of_beta(layers_with(filled.root, USER))) == LAYERS
    beta = {p for ps in layers_with(filled.root, USER).values() for p in ps} - {
        p for ps in of_beta(layers_with(filled.root, USER)).values() for p in ps
    }
    receipt = erase(filled.settings, "acme", IDS)
    left = of_beta(layers_with(filled.root, USER))
    # only the id that begins as the erased one
    objects = open_store(filled.root)
    for paths in left.values():
        for path in paths:
            assert not holds(objects, path, f'"{USER}"'), path
            assert holds(objects, path, f"{USER}x"), path
    assert receipt.state == "erased"
    assert others(filled.root) == [
        row
        for row in before
        if json.loads(row)["tenant"] == "beta"
        or (json.loads(row)["user_id"] != USER and not (json.loads(row)["raw"] or "").count(USER))
    ]
    assert beta <= {path for paths in layers_with(filled.root, USER).values() for path in paths}


def test_what_is_made_after_it_is_as_if_they_had_never_been(filled: Filled, tmp_path):
    erase(filled.settings, "acme", IDS)
    run_days(filled.settings, all_days(DAYS))
    without = [
        row
        for row in events()
        if row["tenant"] == "beta" or (row["user_id"] != USER and USER not in (row["raw"] or ""))
    ]
    fresh = fill(str(tmp_path / "fresh"), tmp_path, without)
    # quarantine tells positions, which are others in the landing that never had them
    kept = tuple(f"{table}/" for table in STORED if not table.startswith("quarantined"))
    ours, theirs = published(filled.root), published(fresh.root)
    assert {path for path in ours if path.startswith(kept)}
    for path in {*ours, *theirs}:
        if path.startswith(kept):
            assert ours.get(path) == theirs.get(path), path


def test_nothing_of_theirs_lands_again(filled: Filled, tmp_path):
    settings = filled.settings
    erase(settings, "acme", IDS)
    again = tmp_path / "again.csv"
    again.write_text(
        "user_id,item_id,interaction_type,timestamp\n"
        f"{USER},i1,view,2025-01-03T00:00:00Z\n"
        "u2,i1,view,2025-01-03T00:00:01Z\n"
        f"{USER},i1,view,not a time\n"
        f"{USER},i1\n"
        f"{USER}x,i1,view,2025-01-03T00:00:02Z\n"
    )
    (summary,) = ingest_files(settings, "interactions", [str(again)], "acme")
    assert summary.counts.unreadable == {"user_id.erased": 3}
    run_days(settings, [*all_days(DAYS), datetime.now(UTC).date()])
    left = of_beta(layers_with(filled.root, USER))
    objects = open_store(filled.root)
    for path in (path for paths in left.values() for path in paths):
        assert not holds(objects, path, f'"{USER}"'), path
    landed = Landing(filled.root, "interactions").snapshot().scan().collect()
    emptied = landed.filter(pl.col("problem") == "user_id.erased")
    assert emptied.height == 3
    theirs = emptied.select("user_id", "item_id", "timestamp", "raw", "context")
    assert theirs.null_count().row(0) == (3,) * 5


def test_a_release_goes_on_as_another(filled: Filled):
    settings = filled.settings
    old = open_release(filled.release, filled.root)
    users = old.vocabulary("users")
    rows = {split: old.manifest.rows()[split] for split in old.splits}
    erase(settings, "acme", IDS)
    with pytest.raises(ReleaseError, match="is no more: users were erased from it"):
        open_release(filled.release, filled.root)
    (manifest,) = Releases(open_store(filled.root)).all("acme")
    assert manifest.made.replaces == filled.release
    assert Releases(open_store(filled.root)).verify(manifest) == []
    new = open_release(manifest.release, filled.root)
    assert new.vocabulary("users")["id"].to_list() == [
        None if one == USER else one for one in users["id"]
    ]
    assert new.vocabulary("users")["index"].equals(users["index"])
    for split in new.splits:
        read = sum(len(batch["label"]) for batch in iter_batches(new, split, 16, ["label"]))
        assert read == new.manifest.rows()[split] < rows[split]
    again = erase(settings, "acme", IDS)
    assert [layer.changed for layer in again.passes[0].layers if layer.name == "releases"] == [0]


def test_only_the_events_with_an_item_go(filled: Filled):
    settings = filled.settings
    erase(settings, "acme", frozenset({(USER, "i2")}))
    landed = Landing(filled.root, "interactions").snapshot().scan(tenants=["acme"]).collect()
    theirs = landed.filter(pl.col("user_id") == USER)
    assert set(theirs["item_id"]) == {"i0", "i1", "i3"}
    run_days(settings, all_days(DAYS))
    recent = pl.concat(
        pl.read_parquet(open_store(filled.root).uri(path), hive_partitioning=False)
        for path in open_store(filled.root).list("user_features/")
        if "tenant=acme" in path
    ).filter(pl.col("user_id") == USER)
    assert recent.height == 4
    assert "i2" not in recent["recent_items"].explode().to_list()


def test_it_settles_once_no_writer_can_bring_them_back(filled: Filled, monkeypatch):
    settings = filled.settings
    erase(settings, "acme", IDS)
    (early,) = finish(settings)
    assert early.state == "erased"
    # a writer that had begun before, and committed after
    row = {"user_id": USER, "item_id": "i1"}
    late = Landing(filled.root, "interactions").snapshot().scan(tenants=["acme"]).head(1).collect()
    late = late.with_columns(**{name: pl.lit(value) for name, value in row.items()})
    Landing(filled.root, "interactions").append([late], tenant="acme", key="late", sequence=1)
    monkeypatch.setattr(module, "STAGED", timedelta(hours=-2))
    (found,) = finish(settings)
    assert (found.state, found.passes[-1].found) == ("erased", 2)
    (settled,) = finish(settings)
    assert settled.state == "settled"
    assert finish(settings) == []
    assert [one.state for one in receipts(open_store(filled.root))] == ["settled"]


def test_an_id_is_needed(tmp_path):
    with pytest.raises(SettingsError, match="is empty"):
        erase(settings_for(tmp_path), "acme", frozenset({("", None)}))
    assert not list(Path(tmp_path).rglob("*.json"))
