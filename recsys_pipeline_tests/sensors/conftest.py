"""An instance, a broker's topics in the settings, and runs executed as a daemon would."""

from __future__ import annotations

import dagster as dg
import pytest

from recsys_pipeline.definitions import defs
from recsys_pipeline.settings import get_settings
from recsys_pipeline_tests.kafka.conftest import _up_again, mock_broker, topic  # noqa: F401  # fixtures


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def use(monkeypatch, tmp_path):
    """Set settings for the code under test; returns them."""

    def set_all(**values):
        monkeypatch.setenv("RECSYS_STORAGE_ROOT", str(tmp_path))
        monkeypatch.setenv("RECSYS_TENANTS_FILE", str(tmp_path / "tenants.toml"))
        for name, value in values.items():
            monkeypatch.setenv(f"RECSYS_{name.upper()}", str(value))
        get_settings.cache_clear()
        return get_settings()

    yield set_all
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def tick(instance):
    """Evaluate a sensor once, with the cursor that its last evaluation left."""
    cursors: dict[str, str] = {}

    def evaluate(sensor):
        context = dg.build_sensor_context(
            instance=instance, cursor=cursors.get(sensor.name), sensor_name=sensor.name
        )
        data = sensor.evaluate_tick(context)
        if data.cursor is not None:
            cursors[sensor.name] = data.cursor
        return data

    return evaluate


@pytest.fixture
def launch(instance):
    """Execute the runs that a tick has requested; returns whether each succeeded."""

    def execute(data, job):
        done = []
        for request in data.run_requests:
            result = defs.resolve_job_def(job.name).execute_in_process(
                run_config=request.run_config,
                tags={**request.tags, "dagster/run_key": request.run_key},
                instance=instance,
                raise_on_error=False,
            )
            done.append(result.success)
        return done

    return execute


@pytest.fixture
def record(instance):
    """Record a run of a request in a state, without executing it."""

    def create(request, job, status):
        return instance.create_run_for_job(
            defs.resolve_job_def(job.name),
            tags=request.tags,
            run_config=request.run_config,
            status=status,
        )

    return create
