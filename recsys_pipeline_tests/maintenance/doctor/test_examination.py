from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from recsys_pipeline.cli.doctor import doctor
from recsys_pipeline.settings import get_settings


@pytest.fixture
def run(tmp_path, home, monkeypatch):
    app = typer.Typer()
    app.command()(doctor)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("RECSYS_STORAGE_ROOT", str(tmp_path / "data"))
    monkeypatch.delenv("RECSYS_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments))
    get_settings.cache_clear()


def test_the_command_prints_a_line_a_check_and_exits_0(run):
    result = run()
    assert result.exit_code == 0, result.output
    for word in ("python", "lock", "DAGSTER_HOME", "storage", "kafka", "port 3000", "clock"):
        assert word in result.output
    assert "0 wrong" in result.output


def test_the_command_exits_1_when_something_is_wrong(run, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "relative")
    result = run("--json")
    assert result.exit_code == 1
    findings = {entry["check"]: entry for entry in json.loads(result.output)}
    assert findings["DAGSTER_HOME"]["status"] == "wrong"
    assert findings["DAGSTER_HOME"]["fix"]
    assert findings["storage"]["status"] == "ok"


def test_a_wrong_setting_is_a_finding_and_no_traceback(run, monkeypatch):
    monkeypatch.setenv("RECSYS_NEGATIVE_RATIO", "many")
    result = run()
    assert result.exit_code == 1
    assert "RECSYS_NEGATIVE_RATIO" in result.output
    assert isinstance(result.exception, SystemExit)
