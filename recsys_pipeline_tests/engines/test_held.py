"""A tenant's bad day holds that tenant back, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from recsys_pipeline.engines.acceptance import Acceptance, accept
from recsys_pipeline.engines.pending import pending_days, standings
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    event,
    file_hashes,
    land,
    run_days,
    settings_for,
    view_of,
)


def _good(tenant, day, count=100):
    return [
        event(tenant, day, n, f"u{n % 7}", f"i{n}", "click", event_id=f"{tenant}{day}-{n}")
        for n in range(count)
    ]


def _bad(tenant, day, count):
    return [event(tenant, day, 50_000 + n, f"u{n}", "i1", "wink") for n in range(count)]


@pytest.fixture
def root(tmp_path):
    for tenant in ("acme", "beta"):
        for day in range(3):
            land(tmp_path, _good(tenant, day), f"good{day}")
    return tmp_path


def _states(config):
    return {(s.asset, (s.day - START).days, s.tenant): s.state for s in standings(view_of(config))}


def test_a_day_over_the_limit_is_held_and_the_other_tenant_goes_on(root):
    land(root, _bad("acme", 1, 20), "bad")
    config = settings_for(root)
    run_days(config, all_days(3))

    states = _states(config)
    for asset in ("validated_interactions", "user_features", "item_features", "training_samples"):
        assert states[asset, 1, "acme"] == "held"
        assert states[asset, 1, "beta"] == states[asset, 2, "acme"] == "current"
    assert not [p for p in file_hashes(root) if "2025-01-02/tenant=acme" in p and "quar" not in p]
    quarantine = pl.read_parquet(
        root / "quarantined_interactions" / "date=2025-01-02" / "tenant=acme" / "*.parquet"
    )
    assert quarantine.height == 20
    # the later day sees days 0 and 2 alone
    features = pl.read_parquet(root / "user_features/date=2025-01-03/tenant=acme/part-0.parquet")
    assert features.get_column("total_interactions").sum() == 200


def test_what_was_published_before_stays_while_held(root):
    config = settings_for(root)
    run_days(config, all_days(3))
    before = file_hashes(root)
    land(root, _bad("acme", 1, 50), "bad")
    # whether the later day is touched is known once the day has been split
    assert pending_days(view_of(config))[0] == START + timedelta(days=1)
    run_days(config, pending_days(view_of(config)))

    after = file_hashes(root)
    assert {p: h for p, h in after.items() if "quarantined" not in p} == {
        p: h for p, h in before.items() if "quarantined" not in p
    }
    # the later day uses what is published, which has not changed
    assert pending_days(view_of(config)) == []


def test_the_limit_needs_enough_rows_and_is_exclusive(root):
    land(root, _bad("acme", 1, 11), "eleven")  # 11 of 111 = 9.9 %
    land(root, _bad("small", 1, 50), "small")  # 50 of 50, below 100 rows
    config = settings_for(root)
    run_days(config, all_days(3))
    assert "held" not in _states(config).values()


def test_rows_of_erased_users_count_in_no_day(root):
    gone = event(user=None, item=None, kind=None, timestamp=None, problem="user_id.erased")
    land(root, [gone] * 50, "again")
    config = settings_for(root)
    run_days(config, all_days(3))
    assert set(_states(config).values()) == {"current"}
    counts = view_of(config).records("validated_interactions", START)["acme"].counts
    assert (counts["landed"], counts["rejected"], counts["erased"]) == (150, 50, 50)


def test_parked_rows_count_in_no_day(root):
    parked = [
        event("acme", 1, n, "u1", "i1", "view", parked=True, problem="timestamp.readable")
        for n in range(90)
    ]
    land(root, parked, "parked")
    config = settings_for(root)
    run_days(config, all_days(3))
    assert _states(config)["validated_interactions", 1, "acme"] == "current"


def test_acceptance_lifts_until_the_share_grows(root):
    land(root, _bad("acme", 1, 20), "bad")
    config = settings_for(root)
    run_days(config, all_days(3))
    record = view_of(config).records("validated_interactions", START + timedelta(days=1))["acme"]
    share = record.counts["rejected"] / record.counts["landed"]
    entry = Acceptance(
        "validated_interactions", "2025-01-02", "acme", share, "op", "2025-03-01T00:00:00", "seen"
    )
    accept(view_of(config).store.objects, entry)

    # the day and the later day, which now sees it, need a run
    assert pending_days(view_of(config)) == [START + timedelta(days=n) for n in (1, 2)]
    run_days(config, pending_days(view_of(config)))
    assert "held" not in _states(config).values()

    land(root, _bad("acme", 1, 30), "worse")
    run_days(config, pending_days(view_of(config)))
    assert _states(config)["validated_interactions", 1, "acme"] == "held"
