"""The console log of a run is JSON lines with the run, step, asset and partition."""

from __future__ import annotations

import json
import logging

import dagster as dg
import pytest

from recsys_pipeline.logs import configure_logs
from recsys_pipeline.resources.console_log import log_runs
from recsys_pipeline_tests.landed import settings_for


@pytest.fixture
def as_json(tmp_path, monkeypatch):
    """Set JSON and a level."""

    def use(level):
        monkeypatch.setattr(  # it comes back to what it was
            dg.colored_console_logger, "_logger_fn", dg.colored_console_logger.logger_fn
        )
        log_runs(settings_for(tmp_path, log_format="json", log_level=level))

    yield use
    configure_logs(settings_for(tmp_path))


def test_text_leaves_dagsters_own(tmp_path):
    before = dg.colored_console_logger.logger_fn
    log_runs(settings_for(tmp_path))
    assert dg.colored_console_logger.logger_fn is before


@pytest.mark.parametrize("fails", [False, True])
def test_each_line_is_an_object(as_json, capfd, fails):
    as_json("debug")
    days = dg.DailyPartitionsDefinition("2025-01-01")

    @dg.asset(partitions_def=days)
    def features(context):
        context.log.info("of theirs")
        logging.getLogger("recsys_pipeline.test").info("of ours")
        if fails:
            raise ValueError("user u-secret")

    job = dg.define_asset_job("nightly")
    defs = dg.Definitions([features], jobs=[job])
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("nightly").execute_in_process(
            instance=instance,
            partition_key="2025-01-02",
            raise_on_error=False,
            tags={"recsys/tenants": "acme"},
        )
    assert result.success is not fails
    text = capfd.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    said = {line["message"]: line for line in lines}
    theirs = said["of theirs"]
    assert (theirs["run_id"], theirs["job"], theirs["step"]) == (
        result.run_id, "nightly", "features",
    )  # fmt: skip
    assert theirs["tenant"] == "acme"
    assert "of ours" in said
    assert "u-secret" not in text
    if not fails:
        made = next(line for line in lines if line.get("event") == "ASSET_MATERIALIZATION")
        assert (made["asset"], made["partition"]) == ("features", "2025-01-02")
    else:
        assert any(line.get("event") == "STEP_FAILURE" for line in lines)


def test_a_run_may_set_its_level(as_json, capfd):
    as_json("info")

    @dg.op
    def speak(context):
        context.log.info("quiet")

    @dg.job
    def job():
        speak()

    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert job.execute_in_process(run_config=config).success
    assert capfd.readouterr().err == ""


def test_the_level_is_that_of_the_settings(as_json, capfd):
    as_json("warning")

    @dg.op
    def speak(context):
        context.log.info("quiet")
        context.log.warning("loud")

    @dg.job
    def job():
        speak()

    assert job.execute_in_process().success
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "loud"
