"""Held days of a tenant are one trouble, which ends when none is held; nobody's run fails for it."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from recsys_pipeline.engines.acceptance import Acceptance, accept
from recsys_pipeline.engines.view import VALIDATED
from recsys_pipeline.observability.held import tell_held
from recsys_pipeline.observability.troubles import open_troubles
from recsys_pipeline.storage.layout import ALERTS_OUTBOX
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.checks.published import bad_events, events
from recsys_pipeline_tests.landed import all_days, land, run_days, settings_for, view_of
from recsys_pipeline_tests.receiver import receiver

STEPS = ["interactions"]


@pytest.fixture
def settings(tmp_path):
    for day in range(3):
        land(tmp_path, events("acme", day) + events("beta", day), f"d{day}")
    for day in (0, 2):
        land(tmp_path, bad_events("acme", day, 20), f"bad{day}")
    return settings_for(tmp_path, quarantine_min_rows=3)


def to(hook, settings):
    return settings.model_copy(
        update={
            "alert_webhook_url": f"http://127.0.0.1:{hook.server_port}/",
            "alert_webhook_secret": SecretStr("s"),
        }
    )


def test_days_that_are_held_are_told_once_and_their_end(settings, tmp_path):
    with receiver() as hook:
        told = to(hook, settings)
        for run in ("first", "second"):
            run_days(told, all_days(3), steps=STEPS)
            tell_held(view_of(told), "interactions", run)
            tell_held(view_of(told), "items", run)
        ((_, body),) = hook.calls
        data = json.loads(body)["data"]
        assert (data["tenant"], data["days"]) == ("acme", ["2025-01-01", "2025-01-03"])
        assert data["command"] == (
            "recsys quarantine accept --tenant acme --date 2025-01-01 --kind interactions"
        )
        objects = open_store(str(tmp_path))
        for day in data["days"]:
            accept(objects, Acceptance(VALIDATED["interactions"], day, "acme", 1.0, "me", day, ""))
        run_days(told, all_days(3), steps=STEPS)
        tell_held(view_of(told), "interactions")
        assert [json.loads(body)["type"] for _, body in hook.calls] == [
            "alert.firing",
            "alert.resolved",
        ]
        assert list(open_troubles(objects, "held")) == []


def test_a_receiver_that_is_down_fails_no_run(settings, tmp_path, caplog):
    with receiver() as hook:
        hook.status = 500
        run_days(settings, all_days(3), steps=STEPS)
        tell_held(view_of(to(hook, settings)), "interactions")
    assert "told later" in caplog.text
    assert len(open_store(str(tmp_path)).list(ALERTS_OUTBOX)) == 1
