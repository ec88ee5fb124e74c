from __future__ import annotations

import dagster as dg
import numpy as np
import pytest

from recsys_pipeline_tests.releases import DAYS, release, small_root


def test_a_release_is_trained_on_as_soon_as_it_is_published(tmp_path, use_root):
    root = small_root(tmp_path)
    use_root(root)
    from examples.retrain.definitions import defs, retrain_sensor

    config = {
        "tenant": "acme",
        "from": "2025-01-01",
        "to": f"2025-01-{DAYS:02d}",
        "validation_days": 1,
        "test_days": 1,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        releasing = defs.resolve_job_def("release_job")

        def release():
            made = releasing.execute_in_process(
                instance=instance, run_config={"ops": {"training_dataset": {"config": config}}}
            )
            assert made.success

        def tick(cursor):
            context = dg.build_sensor_context(
                instance, cursor=cursor, definitions=defs, sensor_name="retrain_sensor"
            )
            return retrain_sensor.evaluate_tick(context)

        release()
        first = tick(None)
        (request,) = first.run_requests
        done = defs.resolve_job_def("retrain_job").execute_in_process(
            instance=instance, run_config=request.run_config
        )
        assert done.success
        (made,) = done.asset_materializations_for_node("example_model")
        assert made.metadata["release"].value == request.tags["release"]
        with np.load(made.metadata["path"].value) as model:
            assert np.isfinite(model["items"]).all()
        release()  # it is found, not made
        assert tick(first.cursor).run_requests == []


@pytest.mark.slow  # it makes the databases of an instance
def test_a_release_of_the_command_is_trained_on_too(tmp_path, use_root, monkeypatch):
    root = small_root(tmp_path / "root")
    use_root(root)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    from examples.retrain.definitions import defs, retrain_sensor
    from recsys_pipeline.assets.recording import record_release

    made = release(root)
    record_release(made)
    with dg.DagsterInstance.get() as instance:
        context = dg.build_sensor_context(instance, definitions=defs, sensor_name="retrain_sensor")
        (request,) = retrain_sensor.evaluate_tick(context).run_requests
    assert request.tags["release"] == made.manifest.release
