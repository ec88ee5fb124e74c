from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from recsys_pipeline.cli import ingest as command
from recsys_pipeline.cli.main import main
from recsys_pipeline.ingestion.batches import list_batches
from recsys_pipeline_tests.ingestion.files import GOOD, HEADER, write

BAD = (
    "user_id,item_id,interaction_type,timestamp,rating\n"
    "u,i,wishlist,2025-05-01,\n"
    "u,i,view,2025-05-01,NaN\n"
    "u\x00,i,view,2025-05-01,\n"
    "u,i,view,1970-01-01,\n"
    "u,i,view,2262-01-01,\n"
    f"{'x' * (10 << 20)},i,view,2025-05-01,\n"
)


def run(*arguments: str):
    return CliRunner().invoke(command.app, list(arguments))


def test_a_summary_is_printed(tmp_path, use_root):
    use_root(tmp_path / "store")
    path = write(tmp_path, "f.csv", HEADER + GOOD + "torn\n")
    result = run("interactions", path, "--tenant", "acme")
    assert result.exit_code == 0, result.output
    for part in ("rows read    2", "landed       2", "line.readable 1", "parked       1"):
        assert part in result.stdout
    assert "tenant 'acme' is new" in result.stderr
    assert "1 of 2 rows are parked" in result.stderr
    again = run("interactions", path, "--tenant", "acme")
    assert "0 (landed before)" in again.stdout
    assert "nothing has changed" in again.stderr


def test_json(tmp_path, use_root):
    use_root(tmp_path / "store")
    path = write(tmp_path, "i.csv", "item_id,title,category\na,A,C\n")
    arguments = ("--tenant", "acme", "--as-of", "2025-02-03", "--mode", "snapshot", "--json")
    result = run("items", path, *arguments)
    (summary,) = json.loads(result.stdout)
    assert summary["counts"]["first_day"] == "2025-02-03"
    assert summary["counts"]["landed"] == 1


def test_every_bad_value_lands(tmp_path, use_root):
    settings = use_root(tmp_path / "store")
    body = BAD.encode() + "Zoë,i,view,2025-05-01,\n".encode("latin-1")
    result = run("interactions", write(tmp_path, "f.csv", body), "--tenant", "acme", "--json")
    assert result.exit_code == 0, result.output
    (summary,) = json.loads(result.stdout)
    assert summary["counts"]["landed"] == 7
    assert summary["counts"]["unreadable"] == {"line.readable": 1, "timestamp.range": 1}
    assert len(list_batches(settings.storage_root)) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["FILE", "--tenant", "Acme"], "tenant 'Acme': is not a tenant name"),
        (["missing.csv", "--tenant", "acme"], "missing.csv: does not exist"),
        (["FOLDER", "--tenant", "acme"], "is a folder"),
        (["EMPTY", "--tenant", "acme"], "is empty"),
        (["FILE", "--tenant", "acme", "--mapping", "MAPPING"], "line 2: has an unknown key"),
        (["FILE", "--tenant", "acme", "--mapping", "movilens"], "Did you mean 'movielens'?"),
        (["FILE", "--tenant", "acme", "--replace", "nope"], "batch nope"),
    ],
)
def test_bad_input_is_one_line(tmp_path, use_root, monkeypatch, capsys, arguments, words):
    use_root(tmp_path / "store")
    names = {
        "FILE": write(tmp_path, "f.csv", HEADER + GOOD),
        "EMPTY": write(tmp_path, "e.csv", ""),
        "MAPPING": write(tmp_path, "m.toml", '[columns]\nuser = "u"\n'),
        "FOLDER": str(tmp_path),
    }
    given = [names.get(argument, argument) for argument in arguments]
    monkeypatch.setattr("sys.argv", ["recsys", "ingest", "interactions", *given])
    with pytest.raises(SystemExit) as stop:
        main()
    error = capsys.readouterr().err
    assert stop.value.code == 1
    assert words in error
    assert len([line for line in error.splitlines() if line.strip()]) == 1
    assert not (tmp_path / "store" / "raw_interactions").exists() or "nope" in words


def test_a_date_that_is_none(tmp_path, use_root):
    use_root(tmp_path / "store")
    path = write(tmp_path, "i.csv", "item_id,title,category\na,A,C\n")
    result = run("items", path, "--tenant", "acme", "--as-of", "yesterday")
    assert "'yesterday' is not a date" in str(result.exception)
