"""What the exporter tells of tables is what the files say, whatever has happened between two looks."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys_pipeline.engines.acceptance import Acceptance, accept
from recsys_pipeline.engines.pending import STORED, standings
from recsys_pipeline.observability import families as f
from recsys_pipeline.observability.tables import Tables
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.records import Records
from recsys_pipeline_tests.checks.published import bad_events, events
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)

DAYS = 4


def files_of(root, asset):
    """Rows and bytes of each tenant's files, counted from the files."""
    rows, sizes = Counter(), Counter()
    for path in Path(root).glob(f"{asset}/date=*/tenant=*/*.parquet"):
        tenant = path.parent.name.removeprefix("tenant=")
        rows[tenant] += pl.read_parquet(path, hive_partitioning=False).height
        sizes[tenant] += path.stat().st_size
    return rows, sizes


def without_zeros(values):
    return {labels: value for labels, value in values.items() if value}


def check(root, settings, found):
    """Compare with the slow and obvious: read every file, judge every day."""
    for asset in STORED:
        rows, sizes = files_of(root, asset)
        for family, counted in ((f.STORED_ROWS, rows), (f.STORED_BYTES, sizes)):
            told = {t: v for (layer, t), v in found[family].items() if layer == asset}
            assert without_zeros(told) == counted, (asset, family.name)
    for kind, asset in (("interactions", "raw_interactions"), ("items", "raw_items")):
        landed = Landing(str(root), kind).snapshot().scan().collect()
        told = {t: v for (layer, t), v in found[f.STORED_ROWS].items() if layer == asset}
        assert without_zeros(told) == dict(landed.group_by("tenant").len().iter_rows())
    judged = list(standings(view_of(settings)))
    states = Counter((s.asset, s.tenant, s.state) for s in judged)
    assert without_zeros(found[f.PARTITIONS]) == states
    pending = {}
    for one in judged:
        if one.state in ("stale", "missing"):
            pending[one.tenant] = min(one.day, pending.get(one.tenant, one.day))
    told = {tenant: at for (tenant,), at in found.get(f.OLDEST_PENDING_DAY, {}).items()}
    assert told == {
        tenant: (day - START).days * 86400 + 1735689600 for tenant, day in pending.items()
    }


def act(rng, root, settings, number):
    """Do one of the things that change a store; return the days that were made."""
    action = rng.choice(["land", "bad", "run", "run", "retract", "accept", "items"])
    days = sorted(rng.sample(all_days(DAYS), rng.randint(1, DAYS)))
    day = rng.randrange(DAYS)
    if action == "land":
        land(root, random_events(rng.randrange(1000), 30, DAYS), f"b{number}")
    elif action == "bad":
        land(root, bad_events("acme", day, 12) + events("acme", day), f"b{number}")
    elif action == "items":
        land(root, [item_version(day=day, item=f"i{day}")], f"b{number}", "items")
    elif action == "run":
        run_days(settings, days)
    elif action == "retract":
        Landing(str(root), "interactions").retract(f"acme-b{rng.randrange(number + 1)}")
    else:
        when = (START + timedelta(days=day)).isoformat()
        given = Acceptance("validated_interactions", when, "acme", 1.0, "me", str(number), "")
        accept(open_store(str(root)), given)


@pytest.mark.parametrize("seed", range(3))
def test_each_look_tells_what_a_look_at_everything_tells(tmp_path, seed):
    rng = random.Random(seed)
    settings = settings_for(tmp_path, quarantine_min_rows=5)
    land(tmp_path, random_events(seed, 60, DAYS), "b0")
    tables = Tables(settings)
    for number in range(1, 7):
        act(rng, tmp_path, settings, number)
        found = tables.measure()
        check(tmp_path, settings, found)
        fresh = Tables(settings).measure()
        counters = {f.PUBLICATIONS, f.PUBLISHED_ROWS, f.STEP_SECONDS}
        assert {k: v for k, v in found.items() if k not in counters} == {
            k: v for k, v in fresh.items() if k not in counters
        }


def test_an_empty_store_has_no_values(tmp_path):
    assert not any(Tables(settings_for(tmp_path)).measure().values())


def test_the_ratio_is_of_the_last_seven_days_without_parked_rows(tmp_path):
    settings = settings_for(tmp_path)
    land(tmp_path, bad_events("acme", 0, 50), "old")
    for day in range(1, 8):
        land(tmp_path, events("acme", day, 9) + bad_events("acme", day, 1), f"d{day}")
    parked = [
        row | {"parked": True, "problem": "timestamp.readable"} for row in bad_events("acme", 7, 5)
    ]
    land(tmp_path, parked, "parked")
    run_days(settings, all_days(8), steps=["interactions"])
    found = Tables(settings).measure()
    layer = "validated_interactions"
    assert found[f.QUARANTINE_RATIO] == {(layer, "acme"): pytest.approx(0.1)}
    judged = {o: v for (_, _, o), v in found[f.JUDGED_ROWS].items()}
    landed = found[f.STORED_ROWS]["raw_interactions", "acme"]
    assert sum(judged.values()) == landed == 125


def test_counters_count_what_was_published_since_they_began(tmp_path):
    settings = settings_for(tmp_path)
    land(tmp_path, events("acme", 0) + events("beta", 0), "a")
    run_days(settings, all_days(1))
    tables = Tables(settings)
    assert not any(tables.measure()[family] for family in (f.PUBLICATIONS, f.STEP_SECONDS))
    assert not tables.measure()[f.PUBLISHED_ROWS], "nothing has changed"
    land(tmp_path, events("acme", 1, 5), "b")
    run_days(settings, all_days(2))
    found = tables.measure()
    layer = ("validated_interactions",)
    assert found[f.PUBLICATIONS][layer] == 1, "beta's day was left as it is"
    assert found[f.PUBLISHED_ROWS][layer] == 5
    record = Records(open_store(str(tmp_path))).day(layer[0], all_days(2)[1])["acme"]
    assert found[f.STEP_SECONDS][layer] == pytest.approx(record.seconds)
    assert record.seconds > 0
    assert tables.measure()[f.PUBLICATIONS][layer] == 1, "it is counted once"


def test_a_look_at_an_unchanged_store_reads_no_record(tmp_path, monkeypatch):
    settings = settings_for(tmp_path)
    for day in range(3):
        land(tmp_path, events("acme", day), f"d{day}")
    run_days(settings, all_days(3))
    tables = Tables(settings)
    before = tables.measure()
    read = []
    real = Records.day
    monkeypatch.setattr(Records, "day", lambda self, *of: read.append(of) or real(self, *of))
    monkeypatch.setattr("recsys_pipeline.observability.tables.standings", lambda _: 1 / 0)
    assert tables.measure() == before
    assert read == []
    monkeypatch.undo()
    land(tmp_path, events("acme", 2, kind="like"), "more")
    run_days(settings, [all_days(3)[2]], steps=["interactions"])
    monkeypatch.setattr(Records, "day", lambda self, *of: read.append(of) or real(self, *of))
    tables.measure()
    assert {day for _, day in read} == {all_days(3)[2]}


def test_a_day_that_is_let_by_is_seen_though_no_record_has_changed(tmp_path):
    settings = settings_for(tmp_path, quarantine_min_rows=5)
    land(tmp_path, bad_events("acme", 0, 12) + events("acme", 0), "a")
    run_days(settings, all_days(1), steps=["interactions"])
    layer = "validated_interactions"
    tables = Tables(settings)
    assert tables.measure()[f.PARTITIONS][layer, "acme", "held"] == 1
    given = Acceptance(layer, START.isoformat(), "acme", 1.0, "me", "1", "")
    accept(open_store(str(tmp_path)), given)
    assert tables.measure()[f.PARTITIONS][layer, "acme", "stale"] == 1


def test_a_limit_of_a_tenant_is_seen_though_no_record_has_changed(tmp_path):
    settings = settings_for(tmp_path, quarantine_min_rows=5)
    land(tmp_path, bad_events("acme", 0, 12) + events("acme", 0), "a")
    run_days(settings, all_days(1), steps=["interactions"])
    layer = "validated_interactions"
    tables = Tables(settings)
    tables.measure()
    (tmp_path / "tenants.toml").write_text("[tenants.acme]\nquarantine_limit = 1.0\n")
    assert tables.measure()[f.PARTITIONS][layer, "acme", "stale"] == 1


def test_a_deleted_file_is_seen_within_the_hour(tmp_path, monkeypatch):
    settings = settings_for(tmp_path)
    land(tmp_path, events("acme", 0), "a")
    run_days(settings, all_days(1))
    tables = Tables(settings)
    tables.measure()
    next(tmp_path.glob("user_features/*/*/*.parquet")).unlink()
    monkeypatch.setattr("recsys_pipeline.observability.tables.WHOLE_LOOK_SECONDS", -1.0)
    assert tables.measure()[f.PARTITIONS]["user_features", "acme", "stale"] == 1


def test_the_seconds_of_a_record_change_no_file(tmp_path):
    """Inputs and contents are the same however long it took."""
    settings = settings_for(tmp_path)
    land(tmp_path, events("acme", 0), "a")
    run_days(settings, all_days(1))
    records = Records(open_store(str(tmp_path)))
    first = records.day("training_samples", START)["acme"]
    run_days(settings, all_days(1), force=True)
    again = records.day("training_samples", START)["acme"]
    assert first.seconds != again.seconds
    assert (first.content, first.inputs) == (again.content, again.inputs)
