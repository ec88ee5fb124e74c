from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from recsys_pipeline.cli import console
from recsys_pipeline.cli.batches import app
from recsys_pipeline.errors import LandingError, TenantError
from recsys_pipeline.ingestion.batches import implicit_key, land_batch, plan_batch
from recsys_pipeline.settings import get_settings
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.storage.landing_rows import DAY, RECEIVED, landed, rows


@pytest.fixture
def landing(tmp_path, monkeypatch) -> Landing:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_STORAGE_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    yield Landing(str(tmp_path / "data"), "interactions")
    get_settings.cache_clear()


def upload(landing, content, count=30) -> str:
    plan = plan_batch(
        landing,
        tenant="acme",
        source=f"file:[bold]{content}.csv",
        key=implicit_key("acme", "interactions", content, None),
        mapping=None,
        received_at=RECEIVED,
        idempotency_days=30,
    )
    frame = rows(plan.batch_id, range(count), days=12, problem="rating.readable")
    land_batch(landing, plan, [frame], start_date=DAY)
    return plan.batch_id


def run(*arguments, **more) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console.out, "_width", 200)  # narrower, words are folded over lines
        result = CliRunner().invoke(app, arguments, catch_exceptions=False, **more)
    assert result.exit_code == 0, result.output
    return result.output


def test_nothing_yet(landing):
    assert "recsys ingest" in run("list")
    assert json.loads(run("list", "--json")) == []


def test_list_and_show(landing):
    first = upload(landing, "a")
    listed = run("list")
    for part in (first, "landed", "acme", "interactions", "30", "[bold]a.csv"):
        assert part in listed
    shown = run("show", first)
    for part in (
        "[bold]a.csv",
        "Unreadable: rating.readable",
        "2025-02-01 12:00:00",
        "30",
        "12: 2025-01-01",
    ):
        assert part in shown
    (one,) = json.loads(run("list", "--tenant", "acme", "--kind", "interactions", "--json"))
    assert one == json.loads(run("show", first, "--json"))
    assert (one["state"], one["batch"]["counts"]["landed"]) == ("landed", 30)
    assert json.loads(run("list", "--kind", "items", "--json")) == []


def test_retract_names_the_stale_days_and_their_cure(landing):
    first, second = upload(landing, "a"), upload(landing, "b", 1)
    said = run("retract", first, "--yes")
    assert "30 rows withdrawn" in said
    assert "2025-01-01, 2025-01-02" in said
    assert "and 2 more days" in said
    assert "recsys run --from 2025-01-01 --to 2025-01-12 --tenant acme" in said
    assert landed(landing) == [(second, 0)]
    assert "retracted" in run("show", first)


def test_retract_asks_first(landing):
    first = upload(landing, "a")
    refused = CliRunner().invoke(app, ["retract", first], input="n\n")
    assert refused.exit_code == 1
    assert "Withdraw 30 rows" in refused.output
    assert len(landed(landing)) == 30
    run("retract", first, input="y\n")
    assert landed(landing) == []


def test_wrong_words(landing):
    for arguments in (["show", "nope-1"], ["retract", "nope-1", "--yes"]):
        with pytest.raises(LandingError, match=r"nope-1.*recsys batches list"):
            run(*arguments)
    with pytest.raises(TenantError):
        run("list", "--tenant", "../x")
