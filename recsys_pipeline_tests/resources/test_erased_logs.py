"""Ids that got into Dagster's records, by an exception or by hand, are taken out of their texts."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from recsys_pipeline.resources.erased_logs import erase_logs
from recsys_pipeline_tests.maintenance.erasure.finding import in_database

USER = "user-of-7"


@dg.op(config_schema={"user": str})
def fails(context: dg.OpExecutionContext) -> None:
    context.log.info("looking at %s", USER)
    print(f"{USER} printed, {USER}1 too")  # noqa: T201  # what a library might do
    raise ValueError(f"no rows of {USER!r} and {USER}1; of\n{USER}\tthere are none")


@dg.job
def job():
    fails()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An instance of ours, with a failed run that names a user."""
    config = {
        "storage": {
            "custom": {
                "module": "recsys_pipeline.resources.event_log",
                "class": "BatchingStorage",
                "config": {"base_dir": {"env": "DAGSTER_HOME"}},
            }
        },
        "telemetry": {"enabled": False},
    }
    (tmp_path / "dagster.yaml").write_text(yaml.dump(config))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    run_config = {"ops": {"fails": {"config": {"user": USER}}}}
    with dg.DagsterInstance.get() as instance:
        job.execute_in_process(run_config=run_config, instance=instance, raise_on_error=False)
    return tmp_path


def holding(home: Path, text: str) -> set[str]:
    found = {path.stem for path in home.rglob("*.db") if in_database(path, text)}
    outputs = (path for path in home.rglob("compute_logs/*") if path.is_file())
    return found | {path.suffix for path in outputs if text in path.read_text()}


def test_they_are_found_and_then_gone(home):
    before = holding(home, USER)
    assert {"runs", "index", ".out", ".err"} <= before
    assert len(before) == 5  # and the run's own events
    done = list(erase_logs({(USER, None)}, []))
    assert [layer.name for layer in done] == ["dagster's records", "output of runs"]
    assert done[0].rows > 2
    assert done[1].changed == 2
    # another id that begins as this one is left
    assert holding(home, f"{USER}1") == before - {"runs"}
    for word in (f"{USER} ", f"{USER}'", f'{USER}"', f"{USER}\\"):
        assert holding(home, word) == set(), word
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        assert run.run_config == {"ops": {"fails": {"config": {"user": "[erased]"}}}}
        events = instance.all_logs(run.run_id)
        assert any("looking at [erased]" in event.message for event in events)
        assert run.status == dg.DagsterRunStatus.FAILURE


def test_what_can_not_be_told_from_a_word_of_ours_is_left(home):
    done = list(erase_logs({("view", None), ("7", None), ("acme", None)}, ["acme"]))
    assert [(layer.rows, layer.changed) for layer in done] == [(0, 0), (0, 0)]
    assert "not looked for" in done[0].note


def test_what_dagster_finds_its_records_by_is_left(home):
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        events = [event.dagster_event_type for event in instance.all_logs(run.run_id)]
    # ids like a part of a run's id, like a key, like a class and like a part of a path
    parts = [*run.run_id.split("-"), "run_id", "DagsterRun", "compute_logs"]
    list(erase_logs({(part, None) for part in parts}, []))
    with dg.DagsterInstance.get() as instance:
        (after,) = instance.get_runs()
        assert after == run
        assert [one.dagster_event_type for one in instance.all_logs(run.run_id)] == events
