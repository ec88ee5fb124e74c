"""What an operator sees of quarantine, and does about it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from recsys_pipeline.cli import quarantine
from recsys_pipeline.cli import run as command
from recsys_pipeline.errors import SettingsError
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline_tests.landed import RECEIVED, run_days, view_of

TEXT = (
    "user_id,item_id,interaction_type,timestamp,rating\n"
    "u1,i[red],buy,2025-01-02,\n"
    "u2,i1,view,2025-01-02,9\n"
    "u3,i1,view,02.01.2025,\n"
    "torn\n"
    "u4,i1,view,2025-01-03,\n"
)


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(quarantine.app, [*arguments, "--tenant", "acme"])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def shop(tmp_path, use_root):
    settings = use_root(tmp_path / "data")
    (tmp_path / "f.csv").write_text(TEXT)
    (tmp_path / "mended.toml").write_text('[event_types]\nbuy = "purchase"\n')
    (done,) = ingest_files(
        settings, "interactions", [str(tmp_path / "f.csv")], "acme", received_at=RECEIVED
    )
    return tmp_path, settings, done.batch_id


def test_rows_are_shown(shop):
    rows = json.loads(run("show", "--json").stdout)
    assert [row["reasons"] for row in rows] == [
        "interaction_type.allowed",
        "rating.range",
        "timestamp.readable",
        "line.readable",
    ]
    assert rows[1]["fields"]["user_id"] == "u2"
    assert (rows[3]["raw"], rows[3]["position"], rows[3]["batch_id"]) == ("torn", 5, shop[2])
    assert "i[red]" in run("show", "--date", "2025-01-02").stdout
    assert "more than these 1" in run("show", "--limit", "1").stdout
    (row,) = json.loads(run("show", "--json", "--reason", "rating.range").stdout)
    assert row["fields"]["rating"] == 9.0
    for nothing in (["--batch", "x-1"], ["--from", "2025-04-01"], ["--to", "2025-01-01"]):
        assert "No such row" in run("show", *nothing).stdout
    both = run("show", "--date", "2025-01-02", "--from", "2025-01-01", code=1)
    assert isinstance(both.exception, SettingsError)


def test_a_replay_says_what_it_did_and_what_is_left_to_do(shop):
    folder, settings, _ = shop
    mended = str(folder / "mended.toml")
    before = run("replay", "--mapping", mended, "--dry-run").stdout
    assert "would be repaired" in before
    said = " ".join(run("replay", "--mapping", mended).stdout.split())
    assert "interaction_type.allowed 1 0" in said
    assert "1 lines could not be read at all" in said
    assert "--replace BATCH" in said
    assert "Run: recsys run --from 2025-01-02 --tenant acme" in said
    days = [p[0] for p in view_of(settings).landed("interactions")]
    run_days(settings, days)
    again = json.loads(run("replay", "--mapping", mended, "--json").stdout)
    assert (again["repaired"], again["stale"]) == ({}, [])


def test_a_mended_contract_needs_a_run_and_no_replay(shop, monkeypatch):
    from recsys_pipeline.engines import view

    _, settings, _ = shop
    run_days(settings, [p[0] for p in view_of(settings).landed("interactions")])
    mended = view.CODE_VERSIONS | {"validated_interactions": "mended"}
    monkeypatch.setattr(view, "CODE_VERSIONS", mended)
    said = json.loads(run("replay", "--json", "--date", "2025-01-02").stdout)
    assert (said["repaired"], said["stale"]) == ({}, ["2025-01-02"])


def test_it_runs_what_is_stale(shop, monkeypatch):
    folder, _, _ = shop
    asked = []
    monkeypatch.setattr(command, "run", lambda *arguments: asked.append(arguments))
    mended = ["--mapping", str(folder / "mended.toml")]
    run("replay", *mended, "--dry-run", "--run")
    assert asked == []
    run("replay", *mended, "--run")
    assert asked == [("2025-01-02", None, ["acme"], False, False)]
