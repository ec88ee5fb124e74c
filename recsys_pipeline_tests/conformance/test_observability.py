"""Measures and alerts are the same on local disk and S3."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from recsys_pipeline.observability import families as f
from recsys_pipeline.observability.alerts import send_alerts
from recsys_pipeline.observability.exporter import sources
from recsys_pipeline.observability.troubles import Trouble, end, note
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.checks.published import events
from recsys_pipeline_tests.landed import all_days, land, run_days, settings_for
from recsys_pipeline_tests.receiver import receiver

pytestmark = pytest.mark.slow


def test_looks_see_what_has_changed(root, tmp_path):
    settings = settings_for(root, tenants_file=str(tmp_path / "tenants.toml"))
    land(root, events("acme", 0) + events("beta", 0, 2), "a")
    run_days(settings, all_days(1))
    found = {source.name: source for source in sources(settings)}

    def look():
        for source in found.values():
            source.look()
            assert source.is_up, source.name
        return found["tables"].measures

    first = look()
    assert first[f.STORED_ROWS]["validated_interactions", "acme"] == 4
    assert first[f.STORED_BYTES]["user_features", "beta"] > 0
    assert first[f.PARTITIONS]["training_samples", "acme", "current"] == 1
    assert look() == first
    land(root, events("acme", 1, 5), "b")
    stale = look()
    assert stale[f.PARTITIONS]["validated_interactions", "acme", "missing"] == 1
    run_days(settings, all_days(2))
    last = look()
    assert last[f.STORED_ROWS]["validated_interactions", "acme"] == 9
    assert last[f.PUBLICATIONS]["training_samples",] == 1


def test_a_trouble_is_told_once_and_its_end(root, tmp_path):
    objects = open_store(root)
    trouble = Trouble("run_failed", "user_features", "acme", "Run abc failed", "recsys run")
    with receiver() as hook:
        settings = settings_for(
            root,
            tenants_file=str(tmp_path / "tenants.toml"),
            alert_webhook_url=f"http://127.0.0.1:{hook.server_port}/",
            alert_webhook_secret=SecretStr("s"),
        )
        assert [note(settings, objects, trouble) for _ in range(2)] == [True, False]
        assert send_alerts(settings, objects) == 1
        assert end(settings, objects, trouble)
        assert send_alerts(settings, objects) == 1
        assert [json.loads(body)["type"] for _, body in hook.calls] == [
            "alert.firing",
            "alert.resolved",
        ]
