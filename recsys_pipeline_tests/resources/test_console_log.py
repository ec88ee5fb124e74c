"""The console log of a run is JSON lines with the run, step, asset and partition."""

from __future__ import annotations

import json
import logging

import dagster as dg
import pytest

from recsys_pipeline.logs import configure_logs
from recsys_pipeline.resources.console_log import console_loggers
from recsys_pipeline_tests.landed import settings_for


@pytest.fixture
def loggers(tmp_path):
    yield console_loggers(settings_for(tmp_path, log_format="json"))
    configure_logs(settings_for(tmp_path))


def test_text_leaves_dagsters_own(tmp_path):
    assert console_loggers(settings_for(tmp_path)) is None


@pytest.mark.parametrize("fails", [False, True])
def test_each_line_is_an_object(loggers, capfd, fails):
    days = dg.DailyPartitionsDefinition("2025-01-01")

    @dg.asset(partitions_def=days)
    def features(context):
        context.log.info("of theirs")
        logging.getLogger("recsys_pipeline.test").info("of ours")
        if fails:
            raise ValueError("user u-secret")

    job = dg.define_asset_job("nightly")
    defs = dg.Definitions([features], jobs=[job], loggers=loggers)
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


def test_a_run_may_set_its_level(loggers, capfd):
    @dg.op
    def speak(context):
        context.log.info("quiet")

    @dg.job(logger_defs=loggers)
    def job():
        speak()

    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert job.execute_in_process(run_config=config).success
    assert capfd.readouterr().err == ""
