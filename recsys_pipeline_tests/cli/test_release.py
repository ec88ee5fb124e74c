"""`recsys release`, from a run's samples to a diff of two releases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from typer.testing import CliRunner

from recsys_pipeline.cli import console
from recsys_pipeline.cli.main import app
from recsys_pipeline.errors import ReleaseError, SettingsError, TenantError
from recsys_pipeline_tests.landed import START
from recsys_pipeline_tests.releases import DAYS, small_root

LAST = START + timedelta(days=DAYS - 1)
MAKE = (
    "--tenant", "acme", "--from", str(START), "--to", str(LAST),
    "--validation-days", "1", "--test-days", "1",
)  # fmt: skip


@pytest.fixture
def root(tmp_path, use_root, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME")
    use_root(small_root(tmp_path))
    return tmp_path


def run(*arguments, code=0) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console.out, "_width", 200)  # narrower, words are folded over lines
        result = CliRunner().invoke(app, ["release", *arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def made(*more) -> dict:
    return json.loads(run(*MAKE, *more, "--json"))


def test_nothing_yet(root):
    assert "recsys release --tenant" in run("list")
    assert json.loads(run("list", "--json")) == []


def test_made_listed_shown_and_verified(root):
    said = run(*MAKE)
    assert "validation" in said
    found = made()
    release = found["release"]
    assert (found["new"], found["uri"].endswith(release)) == (False, True)
    assert f"Release {release}" in run(*MAKE)
    assert "was there already" in run(*MAKE)
    (listed,) = json.loads(run("list", "--tenant", "acme", "--json"))
    assert listed["release"] == release
    assert listed["rows"] == sum(
        count for fold in found["content"]["folds"] for rows in fold["rows"].values()
        for count in rows.values()
    )  # fmt: skip
    for part in (release, "acme", "time", str(START)):
        assert part in run("list")
    shown = run("show", release[:6])
    for part in (release, "passed split_order", "passed conservation", "train", "Extends"):
        assert part in shown
    assert json.loads(run("show", release, "--json"))["content"] == found["content"]
    assert "files are as the manifest says" in run("verify", release)
    assert json.loads(run("verify", release, "--json")) == {
        "release": release, "good": True, "faults": [],
    }  # fmt: skip


def test_verify_names_each_fault_and_exits_with_1(root):
    found = made()
    folder = root / "training_dataset" / "tenant=acme" / f"release={found['release']}"
    shard = folder / "train" / "part-00000.parquet"
    data = bytearray(shard.read_bytes())
    data[10] ^= 1
    shard.write_bytes(data)
    (folder / "catalogue.parquet").unlink()
    (folder / "more.txt").touch()
    said = run("verify", found["release"], code=1)
    for part in ("bad train/part-00000.parquet", "missing catalogue.parquet", "extra more.txt"):
        assert part in said
    told = json.loads(run("verify", found["release"], "--json", code=1))
    assert {fault["fault"] for fault in told["faults"]} == {"bad", "missing", "extra"}


def test_diff_and_the_other_splits(root):
    first, second = made(), made("--seed", "9")
    said = run("diff", first["release"], second["release"])
    assert "shuffle_seed" in said
    assert "9" in said
    assert "Nothing differs" in run("diff", first["release"], first["release"])
    rolling = made("--split", "rolling", "--folds", "2", "--train-days", "3")
    changes = json.loads(run("diff", first["release"], rolling["release"], "--json"))["changes"]
    assert changes["window"]["split.kind"] == ["time", "rolling"]
    assert "fold-2/train positives" in changes["rows"]
    last_out = made("--split", "leave-last-out")
    assert "leave-last-out" in run("show", last_out["release"])
    child = made("--extend", first["release"])
    assert child["content"]["parent"] == first["release"]
    kept = made("--evaluation-negatives")
    assert kept["content"]["folds"][0]["rows"]["test"]["negatives"] > 0


def test_wrong_words_name_the_culprit_and_the_fix(root):
    today = str(datetime.now(UTC).date())
    for arguments, error, words in (
        (["--from", str(START)], SettingsError, "--tenant"),
        (["--tenant", "acme", "--to", str(LAST)], SettingsError, "--from"),
        (["--tenant", "acme", "--from", "soon", "--to", str(LAST)], SettingsError, "soon"),
        (["--tenant", "acme", "--from", str(START), "--to", today], SettingsError, "not over"),
        ([*MAKE, "--split", "random"], SettingsError, "--split"),
        ([*MAKE, "--test-days", "7"], SettingsError, "hold out 8 of the 8"),
        ([*MAKE, "--extend", "abc"], ReleaseError, "recsys release list"),
        (["--tenant", "../x", "--from", str(START), "--to", str(LAST)], TenantError, "x"),
        (["show", "abc"], ReleaseError, "abc"),
        (["verify", "abc"], ReleaseError, "abc"),
        (["list", "--tenant", "../x"], TenantError, "x"),
    ):
        with pytest.raises(error, match=words):
            run(*arguments)


@pytest.mark.slow  # it makes the databases of an instance
def test_dagster_shows_it_as_if_the_asset_had_made_it(root, tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    first, again = made(), made()
    with dg.DagsterInstance.get() as instance:
        found = instance.fetch_materializations(dg.AssetKey("training_dataset"), limit=9).records
    assert len(found) == 2
    for record, release in zip(reversed(found), (first, again), strict=True):
        event = record.asset_materialization
        assert event.metadata["release"].value == release["release"]
        assert event.metadata["path"].value == release["uri"]
        assert event.metadata["new"].value == release["new"]
        assert event.metadata["dagster/row_count"].value == sum(
            count for fold in release["content"]["folds"] for rows in fold["rows"].values()
            for count in rows.values()
        )  # fmt: skip
        assert event.tags["dagster/data_version"] == release["release"]


def test_a_release_that_dagster_can_not_be_told_of_is_made_all_the_same(root, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(root / "nowhere"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console.err, "_width", 300)
        result = CliRunner().invoke(app, ["release", *MAKE, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    release = json.loads(result.stdout)["release"]
    assert f"release {release}: is made, but not recorded in Dagster" in result.stderr
    assert "nowhere" in result.stderr
    (listed,) = json.loads(run("list", "--json"))
    assert listed["release"] == release


def test_without_an_instance_nothing_of_dagster_is_asked(root, monkeypatch):
    monkeypatch.setattr(dg.DagsterInstance, "get", lambda: pytest.fail("it was opened"))
    assert made()["new"]


def test_help_has_examples():
    for arguments in ((), ("list",), ("show",), ("verify",), ("diff",)):
        assert "Example" in run(*arguments, "--help")
