"""The job of the night does all of its parts, and says what stays although it is old."""

from __future__ import annotations

import dagster as dg
import pytest

from recsys_pipeline.definitions import defs
from recsys_pipeline.maintenance.erasure.erase import erase
from recsys_pipeline.settings import get_settings
from recsys_pipeline_tests.landed import START, all_days, event, land, run_days


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_STORAGE_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RECSYS_START_DATE", START.isoformat())
    monkeypatch.setenv("RECSYS_METADATA_URL", f"sqlite:///{tmp_path}/metadata.db")
    monkeypatch.setenv("RECSYS_TENANTS_FILE", str(tmp_path / "tenants.toml"))
    monkeypatch.setenv("RECSYS_RETENTION", '{"events": 30, "samples": 30}')
    monkeypatch.setenv("RECSYS_RETENTION_RUN_DAYS", "30")
    get_settings.cache_clear()
    yield tmp_path / "data"
    get_settings.cache_clear()


def test_it_settles_deletes_and_prunes(root):
    land(root, [event(day=n, user=f"u{n}", kind="click") for n in range(3)], "a")
    run_days(get_settings(), all_days(3))
    erase(get_settings(), "acme", frozenset({("u1", None)}))
    run_days(get_settings(), all_days(3))
    with dg.instance_for_test() as instance:
        result = defs.resolve_job_def("upkeep_job").execute_in_process(instance=instance)
        assert result.success
    assert not list(root.glob("training_samples/*/*/*.parquet"))
    assert list(root.glob("_meta/sealed/acme/*.arrow"))


def test_what_can_not_go_fails_it_at_its_end(root):
    land(root, [event(day=n, kind="click") for n in range(3)], "a")
    with dg.instance_for_test() as instance:
        result = defs.resolve_job_def("upkeep_job").execute_in_process(
            instance=instance, raise_on_error=False
        )
        failed = {event.step_key for event in result.all_events if event.is_step_failure}
    assert failed == {"delete_old_data"}
