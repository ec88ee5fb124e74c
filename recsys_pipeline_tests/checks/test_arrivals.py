from __future__ import annotations

from datetime import timedelta

from recsys_pipeline.checks.arrivals import _parked, _volume
from recsys_pipeline.storage.landing_snapshot import LandingSnapshot
from recsys_pipeline_tests.checks.published import events
from recsys_pipeline_tests.landed import START, event, land, settings_for, view_of


def parked(tenant, day, count):
    return [
        event(tenant, day, n, parked=True, problem="line.readable", raw="?") for n in range(count)
    ]


def test_parked_rows_of_one_day_do_not_read_the_whole_landing(tmp_path, monkeypatch):
    for day in range(30):
        land(tmp_path, events("acme", day), f"d{day}")
    land(tmp_path, parked("acme", 2, 1), "p")
    view = view_of(settings_for(tmp_path))
    files = []
    real = LandingSnapshot._read
    monkeypatch.setattr(
        LandingSnapshot,
        "_read",
        lambda self, found: files.append(found.height) or real(self, found),
    )
    _parked(view, [START + timedelta(days=2)])
    assert sum(files) < 10


def test_a_batch_is_judged_by_all_its_days(tmp_path):
    rows = [row for day in range(3) for row in events("acme", day, 10)] + parked("acme", 1, 1)
    land(tmp_path, rows + parked("beta", 1, 2) + events("beta", 1, 2), "all")
    day = [START + timedelta(days=1)]
    lenient = _parked(view_of(settings_for(tmp_path, parked_limit=0.6)), day)
    assert lenient.passed
    found = _parked(view_of(settings_for(tmp_path, parked_limit=0.04)), day)
    assert not found.passed
    (row,) = found.metadata["batches"].records
    assert tuple(row.data.values()) == ("beta-all", "beta", 2, 4, "50.0%")
    found = _parked(view_of(settings_for(tmp_path, parked_limit=0.03)), day)
    assert [row.data["share"] for row in found.metadata["batches"].records] == ["3.2%", "50.0%"]
    only = _parked(view_of(settings_for(tmp_path, parked_limit=0.03), {"acme"}), day)
    assert [row.data["tenant"] for row in only.metadata["batches"].records] == ["acme"]


def test_volume_warns_of_tenants_with_enough_events_to_tell(tmp_path):
    for day in range(7):
        land(tmp_path, events("acme", day, 10) + events("tiny", day, 2), f"d{day}")
    land(tmp_path, events("acme", 7, 4) + events("tiny", 7, 1), "fallen")
    days = [START + timedelta(days=n) for n in range(8)]
    found = _volume(view_of(settings_for(tmp_path, volume_min_rows=10)), days)
    assert not found.passed
    (row,) = found.metadata["moved"].records
    assert tuple(row.data.values()) == ("2025-01-08", "acme", 4, 10, "-60%")
    every = _volume(view_of(settings_for(tmp_path, volume_min_rows=0)), days)
    assert [row.data["tenant"] for row in every.metadata["moved"].records] == ["acme"]
    assert _volume(view_of(settings_for(tmp_path, volume_min_rows=11)), days).passed
