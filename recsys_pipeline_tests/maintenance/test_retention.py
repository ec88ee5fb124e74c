"""What is old goes, and nothing that is kept changes by it."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from recsys_pipeline.engines.pending import STORED, pending_days, standings
from recsys_pipeline.errors import ReleaseError, StorageError
from recsys_pipeline.maintenance.erasure.erase import erase
from recsys_pipeline.maintenance.retention import Retention
from recsys_pipeline.storage.horizons import read_horizons
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    event,
    file_hashes,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)
from recsys_pipeline_tests.releases import release, small_root

DAYS = 8
TODAY = START + timedelta(days=DAYS)
FIRST = START + timedelta(days=5)
LATER = {"2025-01-06", "2025-01-07", "2025-01-08"}


def filled(root, more=()):
    every_day = [event(tenant, day=n, user="v") for n in range(DAYS) for tenant in ("acme", "beta")]
    land(root, [*random_events(5, 500, DAYS), *every_day, *more], "a")
    land(root, [item_version(item=f"i{n}") for n in range(14)], "items", "items")
    run_days(settings_for(root), all_days(DAYS))


def retention(root, tenants=None, **kept) -> Retention:
    settings = settings_for(root, retention=kept)
    return Retention(settings, ParquetStore(open_store(str(root))), TODAY, tenants)


def days_of(root, table, tenant="acme") -> set[str]:
    paths = open_store(str(root)).list(f"{table}/")
    return {p.split("/")[1].removeprefix("date=") for p in paths if f"/tenant={tenant}/" in p}


def of_days(hashes, days):
    return {p: h for p, h in hashes.items() if p.split("/")[1].removeprefix("date=") in days}


def test_the_plan_changes_nothing(tmp_path):
    filled(tmp_path)
    before = open_store(str(tmp_path)).list("")
    steps = {(s.tenant, s.layer): s for s in retention(tmp_path, events=3, samples=3).plan()}
    assert set(steps) == {(t, k) for t in ("acme", "beta") for k in ("events", "samples")}
    assert {s.state for s in steps.values()} == {"due"}
    assert all(s.kept_from == FIRST and s.rows and s.bytes for s in steps.values())
    assert open_store(str(tmp_path)).list("") == before


@pytest.mark.parametrize("layer", ["quarantine", "features", "samples"])
def test_a_layer_loses_its_old_days_and_they_are_not_missed(tmp_path, layer):
    filled(tmp_path)
    before = file_hashes(tmp_path)
    (mine,) = retention(tmp_path, ["acme"], **{layer: 3}).apply()
    assert mine.state == "done"
    gone = {p for p in before if p not in file_hashes(tmp_path)}
    assert gone
    assert all("tenant=acme" in p and p.split("/")[1] < f"date={FIRST}" for p in gone)
    assert pending_days(view_of(settings_for(tmp_path))) == []
    run_days(settings_for(tmp_path), all_days(DAYS))
    assert file_hashes(tmp_path) == {p: h for p, h in before.items() if p not in gone}
    assert [s.state for s in retention(tmp_path, ["acme"], **{layer: 3}).apply()] == ["nothing"]


def test_files_that_a_killed_run_left_without_a_record_go_too(tmp_path):
    filled(tmp_path)
    objects = open_store(str(tmp_path))
    for path in objects.list("_meta/published/training_samples/"):
        if path.endswith(("2025-01-01.json", "2025-01-02.json", "2025-01-07.json")):
            objects.delete(path)
    list(retention(tmp_path, samples=3).apply())
    assert min(days_of(tmp_path, "training_samples")) >= str(FIRST)


def test_days_after_sealed_ones_stay_current_and_come_out_the_same(tmp_path):
    filled(tmp_path)
    before = file_hashes(tmp_path)
    steps = list(retention(tmp_path, events=3).apply())
    assert {s.state for s in steps} == {"done"}
    landed = Landing(str(tmp_path), "interactions").snapshot()
    assert min(day for day, _ in landed.content()) == FIRST
    assert days_of(tmp_path, "validated_interactions") <= LATER
    assert days_of(tmp_path, "training_samples") - LATER
    view = view_of(settings_for(tmp_path))
    assert {s.state for s in standings(view)} == {"current"}
    for table in ("user_features", "item_features", "training_samples"):
        for path in open_store(str(tmp_path)).list(f"{table}/"):
            if path.split("/")[1].removeprefix("date=") in LATER:
                open_store(str(tmp_path)).delete(path)
    run_days(settings_for(tmp_path), all_days(DAYS))
    after = file_hashes(tmp_path)
    assert of_days(after, LATER) == of_days(before, LATER)
    # what was made of sealed days is there as it was
    old = {p for p in before if p.split("/")[0] != "validated_interactions"} - set(
        of_days(before, LATER)
    )
    assert {p: after.get(p) for p in old} == {p: before[p] for p in old}


def test_a_seal_moves_on(tmp_path):
    filled(tmp_path)
    before = file_hashes(tmp_path)
    for kept in (5, 3):
        assert {s.state for s in retention(tmp_path, events=kept).apply()} == {"done"}
    assert len(open_store(str(tmp_path)).list("_meta/sealed/acme")) == 1
    (made,) = {h.seal.day for h in read_horizons(open_store(str(tmp_path))).tenants.values()}
    assert made == FIRST - timedelta(days=1)
    run_days(settings_for(tmp_path), all_days(DAYS), force=True)
    assert of_days(file_hashes(tmp_path), LATER) == of_days(before, LATER)


@pytest.mark.slow
def test_sealed_events_before_the_start_date_count_no_more_than_others(tmp_path):
    settings = settings_for(tmp_path, start_date=FIRST + timedelta(days=1))
    filled(tmp_path)
    list(retention(tmp_path, events=3).apply())
    run_days(settings, all_days(DAYS)[6:], force=True)
    sealed = file_hashes(tmp_path)
    fresh = tmp_path / "fresh"
    filled(fresh)
    run_days(settings_for(fresh, start_date=settings.start_date), all_days(DAYS)[6:], force=True)
    days = LATER - {str(FIRST)}
    assert of_days(sealed, days) == of_days(file_hashes(fresh), days)


def test_late_events_of_sealed_days_are_not_seen_and_go(tmp_path):
    filled(tmp_path)
    list(retention(tmp_path, events=3).apply())
    before = file_hashes(tmp_path)
    land(tmp_path, [event(day=1, user="u1"), event(day=6, user="u1", seconds=1)], "late")
    run_days(settings_for(tmp_path), all_days(DAYS))
    changed = {p.split("/")[1] for p, h in file_hashes(tmp_path).items() if before.get(p) != h}
    assert min(changed) == f"date={START + timedelta(days=6)}"
    step = next(s for s in retention(tmp_path, events=3).apply() if s.tenant == "acme")
    assert (step.state, step.rows) == ("done", 1)


def test_events_stay_while_a_day_of_them_is_not_current(tmp_path):
    filled(tmp_path)
    land(tmp_path, [event(day=1, user="u1")], "late")
    steps = {s.tenant: s for s in retention(tmp_path, events=3).apply()}
    assert steps["acme"].state == "refused"
    assert "2025-01-02 is stale" in steps["acme"].reason
    assert "recsys run --tenant acme" in steps["acme"].reason
    assert steps["beta"].state == "done"
    assert min(days_of(tmp_path, "validated_interactions")) < str(FIRST)


def test_releases_of_sealed_days_are_made_of_what_is_published(tmp_path):
    root = small_root(tmp_path)
    before = release(root)
    Releases(open_store(str(root))).delete(before.manifest)
    list(retention(root, events=3).apply())
    after = release(root)
    assert after.manifest.content.files == before.manifest.content.files


def test_a_restored_day_is_taken_and_a_lost_one_is_not_passed_over(tmp_path):
    root = small_root(tmp_path)
    before = release(root)
    list(retention(root, events=3).apply())
    lost = root / "training_samples" / "date=2025-01-02" / "tenant=acme" / "part-0.parquet"
    data = lost.read_bytes()
    lost.unlink()
    for damaged in (None, b"damaged"):
        if damaged:
            lost.write_bytes(damaged)
        with pytest.raises(ReleaseError, match="2025-01-02 is lost"):
            release(root)
    left = release(root, allow_missing=True).manifest.content
    assert "2025-01-02 is left out: it is lost" in left.warnings
    lost.write_bytes(data)  # with another time than the one recorded
    Releases(open_store(str(root))).delete(before.manifest)
    assert release(root).manifest.content.files == before.manifest.content.files


def test_texts_of_nobody_go_as_those_of_tenants(tmp_path):
    text = {"problem": "tenant.present", "raw": "{}", "parked": True}
    rows = [event("unassigned", day=n, user=None, timestamp=None, **text) for n in range(DAYS)]
    land(tmp_path, rows, "a")
    run_days(settings_for(tmp_path), all_days(DAYS))
    assert {s.state for s in retention(tmp_path, events=3, quarantine=3).apply()} == {"done"}
    assert min(days_of(tmp_path, "quarantined_interactions", "unassigned")) == str(FIRST)
    landed = Landing(str(tmp_path), "interactions").snapshot().content()
    assert min(day for day, _ in landed) == FIRST
    assert pending_days(view_of(settings_for(tmp_path))) == []


def test_a_tenant_that_is_no_longer_known_keeps_no_other_from_being_done(tmp_path):
    (tmp_path / "tenants.toml").write_text("[tenants.zeta]\n")
    for tenant in ("acme", "zeta"):
        land(tmp_path, [event(tenant, day=n) for n in range(DAYS)], "a")
    settings = settings_for(tmp_path, auto_tenants=False, retention={"events": 3})
    run_days(settings, all_days(DAYS))
    steps = Retention(settings, ParquetStore(open_store(str(tmp_path))), TODAY).apply()
    assert {s.tenant: s.state for s in steps} == {"acme": "refused", "zeta": "done"}


def test_a_release_says_which_days_retention_has_deleted(tmp_path):
    root = small_root(tmp_path)
    list(retention(root, samples=3).apply())
    words = "days before 2025-01-06 are left out: retention has deleted their samples"
    assert words in release(root).manifest.content.warnings


def test_the_latest_releases_stay_and_pinned_ones(tmp_path):
    root = small_root(tmp_path)
    releases = Releases(open_store(str(root)))
    made = [release(root, seed=seed).manifest for seed in (1, 2, 3, 4)]
    oldest = releases.all("acme")[-1]
    releases.pin(oldest)
    (step,) = [s for s in retention(root, releases=1).apply() if s.tenant == "acme"]
    assert (step.state, step.count) == ("done", 2)
    left = {one.release for one in releases.all("acme")}
    assert len(left) == 2
    assert oldest.release in left
    releases.unpin(oldest)
    list(retention(root, releases=1).apply())
    assert len(releases.all("acme")) == 1
    assert len(made) == 4


def test_a_seal_that_is_lost_is_said(tmp_path):
    filled(tmp_path)
    list(retention(tmp_path, events=3).apply())
    objects = open_store(str(tmp_path))
    for path in objects.list("_meta/sealed/acme"):
        objects.delete(path)
    with pytest.raises(StorageError, match="what is left of the events of acme"):
        run_days(settings_for(tmp_path), all_days(DAYS), force=True)


def test_a_user_is_erased_from_what_is_sealed(tmp_path):
    filled(tmp_path, [event(day=1, user="gone", item="i1"), event(day=6, user="gone", item="i2")])
    list(retention(tmp_path, events=3).apply())
    settings = settings_for(tmp_path, metadata_url=f"sqlite:///{tmp_path}/m.db")
    receipt = erase(settings, "acme", frozenset({("gone", None)}))
    assert {y.name: y.rows for y in receipt.passes[0].layers}["sealed state"] == 1
    run_days(settings, all_days(DAYS))
    assert pending_days(view_of(settings)) == []
    for table in STORED:
        for path in open_store(str(tmp_path)).list(f"{table}/"):
            text = pl.read_parquet(tmp_path / path, hive_partitioning=False).write_ndjson()
            assert "gone" not in text, path
    again = erase(settings, "acme", frozenset({("gone", None)}))
    assert {y.name: y.rows for y in again.passes[0].layers}["sealed state"] == 0
