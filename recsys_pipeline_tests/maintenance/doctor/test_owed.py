from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from recsys_pipeline.maintenance.doctor.owed import check_owed
from recsys_pipeline.storage.layout import notice_file, webhook_file
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.landed import settings_for

NOW = datetime(2025, 6, 10, 12, tzinfo=UTC)
NOTICE = notice_file("user_features", date(2025, 1, 1), "acme", "x")
CALL = webhook_file("acme", "r", "t")


def owe(root, path, minutes):
    body = {"id": "a", "at": (NOW - timedelta(minutes=minutes)).timestamp()}
    open_store(str(root)).write(path, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "what", "setting"),
    [
        (NOTICE, "1 notices", {"kafka_bootstrap_servers": "127.0.0.1:1"}),
        (CALL, "1 calls of the webhook", {"release_webhook_url": "https://a.example"}),
    ],
)
def test_what_is_owed_for_long_is_told(tmp_path, path, what, setting):
    owe(tmp_path, path, 59)
    assert check_owed(settings_for(tmp_path), NOW).status == "ok"
    owe(tmp_path, path, 61)
    unset = check_owed(settings_for(tmp_path), NOW)
    assert (unset.status, unset.found) == ("warning", f"{what} owed for over an hour")
    (name,) = setting
    assert f"RECSYS_{name.upper()}" in unset.fix
    assert "notices_sensor" in check_owed(settings_for(tmp_path, **setting), NOW).fix


def test_what_can_not_be_read_is_told(tmp_path):
    open_store(str(tmp_path)).write(NOTICE, b"{")
    assert check_owed(settings_for(tmp_path), NOW).status == "wrong"
