"""Each line of a log is one JSON object that says what it is about, and no row."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings

import pytest
from typer.testing import CliRunner

from recsys_pipeline.cli.main import app, main
from recsys_pipeline.logs import configure_logs, log_context
from recsys_pipeline_tests.checks.published import events
from recsys_pipeline_tests.landed import all_days, land, run_days, settings_for

logger = logging.getLogger("recsys_pipeline.test")


@pytest.fixture
def lines(tmp_path, capsys):
    """Log as JSON; return a function that reads the lines since."""
    configure_logs(settings_for(tmp_path, log_format="json"))

    def read():
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield read
    configure_logs(settings_for(tmp_path))


def test_a_line_says_who_and_what(lines):
    with log_context(run_id="r1", asset="user_features", tenant=None):
        with log_context(tenant="acme"):
            logger.info("made\nof two lines", extra={"rows": 3, "asset": "other"})
        logger.warning("after")
    logger.info("outside")
    first, second, third = lines()
    assert first["time"].endswith("+00:00")
    assert (first["level"], first["logger"]) == ("info", "recsys_pipeline.test")
    assert first["message"] == "made\nof two lines"
    assert (first["run_id"], first["tenant"], first["rows"]) == ("r1", "acme", 3)
    assert first["asset"] == "other", "a line's own field wins"
    assert "tenant" not in second
    assert second["asset"] == "user_features"
    assert "run_id" not in third


def test_a_failure_tells_its_place_and_not_its_words(lines):
    def read_rows():
        raise ValueError("user u-secret")

    try:
        read_rows()
    except ValueError:
        logger.exception("failed", extra={"user": "u-secret"})
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert any("read_rows" in place for place in line["trace"])
    assert "u-secret" not in json.dumps(line)


def test_contexts_of_threads_are_their_own(lines):
    def work(n):
        with log_context(tenant=f"t{n}"):
            for _ in range(20):
                logger.info("%d", n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lines()
    assert len(found) == 80
    assert all(line["tenant"] == f"t{line['message']}" for line in found)


def test_what_libraries_say_is_json_too(lines):
    logging.getLogger("botocore").warning("theirs")
    logging.getLogger("botocore").info("too much")
    warnings.warn("deprecated", stacklevel=1)
    found = lines()
    assert [line["logger"] for line in found] == ["botocore", "py.warnings"]


def test_a_publication_is_one_line_a_table_and_day(lines, tmp_path):
    settings = settings_for(tmp_path)
    land(tmp_path, events("acme", 0) + events("beta", 0, 2), "a")
    with log_context(run_id="r1"):
        run_days(settings, all_days(1), steps=["interactions"])
    told = {line["asset"]: line for line in lines() if line["message"] == "published"}
    assert set(told) == {"validated_interactions", "quarantined_interactions"}
    line = told["validated_interactions"]
    assert (line["partition"], line["tenant"], line["rows"]) == ("2025-01-01", ["acme", "beta"], 6)
    assert line["run_id"] == "r1"
    assert line["seconds"] >= 0
    assert "u1" not in json.dumps(line)


def test_text_says_the_same_for_people(tmp_path, capsys):
    configure_logs(settings_for(tmp_path, log_level="info"))
    with log_context(run_id="r1"):
        logger.info("made", extra={"rows": 3})
    configure_logs(settings_for(tmp_path))
    logger.info("not by default")
    text = capsys.readouterr().err
    assert "INFO recsys_pipeline.test: made run_id=r1 rows=3" in text
    assert "not by default" not in text


def test_a_second_call_doubles_no_line(lines, tmp_path):
    configure_logs(settings_for(tmp_path, log_format="json"))
    logger.info("once")
    assert len(lines()) == 1


def test_an_error_of_a_command_is_a_line(tmp_path, monkeypatch, capsys, use_root):
    use_root(tmp_path, log_format="json")
    monkeypatch.setattr(sys, "argv", ["recsys", "kafka", "lag"])
    with pytest.raises(SystemExit) as ended:
        main()
    configure_logs(settings_for(tmp_path))
    assert ended.value.code == 1
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert line["level"] == "error"
    assert "RECSYS_KAFKA_BOOTSTRAP_SERVERS" in line["message"]


def test_the_words_of_a_failed_run_are_not_logged(tmp_path, monkeypatch, capsys, use_root):
    from recsys_pipeline.runs import RunFailedError

    use_root(tmp_path, log_format="json")
    monkeypatch.setattr(sys, "argv", ["recsys", "status"])

    def fail(*_):
        raise RunFailedError("run r1, step s", "ValueError: u-secret", "The UI shows it")

    monkeypatch.setattr("recsys_pipeline.engines.pending.standings", fail)
    with pytest.raises(SystemExit):
        main()
    configure_logs(settings_for(tmp_path))
    text = capsys.readouterr().err
    assert "run r1, step s: failed" in json.loads(text.splitlines()[-1])["message"]
    assert "u-secret" not in text


def test_a_bug_in_a_command_is_a_line_without_its_words(tmp_path, monkeypatch, capsys, use_root):
    use_root(tmp_path, log_format="json")
    monkeypatch.setattr(sys, "argv", ["recsys", "status"])

    def fail(*_):
        raise KeyError("u-secret")

    monkeypatch.setattr("recsys_pipeline.engines.pending.standings", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    configure_logs(settings_for(tmp_path))
    assert ended.value.code == 1
    text = capsys.readouterr().err
    assert json.loads(text.splitlines()[-1])["error"] == "KeyError"
    assert "u-secret" not in text


def test_settings_without_a_meaning_are_said_by_the_command(monkeypatch):
    from recsys_pipeline.settings import get_settings

    monkeypatch.setenv("RECSYS_LOG_FORMAT", "xml")
    get_settings.cache_clear()
    done = CliRunner().invoke(app, ["status"])
    get_settings.cache_clear()
    assert "RECSYS_LOG_FORMAT" in str(done.exception)
