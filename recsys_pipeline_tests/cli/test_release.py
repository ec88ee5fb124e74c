"""`recsys release`, from a run's samples to a diff of two releases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

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
def root(tmp_path, use_root):
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


def test_help_has_examples():
    for arguments in ((), ("list",), ("show",), ("verify",), ("diff",)):
        assert "Example" in run(*arguments, "--help")
