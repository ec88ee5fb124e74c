from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from recsys_pipeline.cli.main import app
from recsys_pipeline.errors import ServiceError, SettingsError
from recsys_pipeline.observability.troubles import Trouble, note, open_troubles
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.receiver import receiver

FAILED = Trouble("run_failed", "user_features", "acme", "Run abc failed", "recsys run")


def invoke(*words):
    return CliRunner().invoke(app, ["alerts", *words])


@pytest.fixture
def root(use_root, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    note(use_root(tmp_path), open_store(str(tmp_path)), FAILED)
    return tmp_path


def test_a_trouble_is_listed_until_it_is_ended(root):
    (told,) = json.loads(invoke("list", "--json").output)
    assert (told["kind"], told["asset"], told["command"]) == (
        "run_failed", "user_features", "recsys run",
    )  # fmt: skip
    assert "Run abc failed" in invoke("list").output
    wrong = invoke("end", "--kind", "run_failed", "--asset", "user_features")
    assert isinstance(wrong.exception, SettingsError)
    done = invoke("end", "--kind", "run_failed", "--asset", "user_features", "--tenant", "acme")
    assert done.output == "Over.\n"
    assert list(open_troubles(open_store(str(root)), "run_failed")) == []
    assert invoke("list").output == "Nothing is amiss.\n"


def test_a_test_needs_a_channel_and_says_whether_it_takes(use_root, tmp_path):
    use_root(tmp_path)
    assert "RECSYS_ALERT_WEBHOOK_URL" in str(invoke("test").exception)
    with receiver() as hook:
        url = f"http://127.0.0.1:{hook.server_port}/"
        use_root(tmp_path, alert_webhook_url=url, alert_webhook_secret="s")
        assert invoke("test").output == "webhook has taken it.\n"
        assert json.loads(hook.calls[0][1])["data"]["kind"] == "test"
        hook.status = 500
        assert isinstance(invoke("test").exception, ServiceError)
