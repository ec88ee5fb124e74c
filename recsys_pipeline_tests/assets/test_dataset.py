"""The asset `training_dataset` inside Dagster: its config, its metadata and its checks."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from recsys_pipeline.definitions import defs
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.landed import START
from recsys_pipeline_tests.releases import small_root

JOB = "of_release"


@pytest.fixture
def run(tmp_path, use_root):
    """Materialise the asset alone, with its checks."""
    use_root(small_root(tmp_path))
    selection = dg.AssetSelection.assets("training_dataset")
    job = dg.define_asset_job(JOB, selection)
    resolved = dg.Definitions(
        assets=defs.assets,
        asset_checks=defs.asset_checks,
        resources=defs.resources,
        jobs=[job],
        executor=dg.in_process_executor,
    ).resolve_job_def(JOB)

    def run(tags=None, **config):
        with dg.DagsterInstance.ephemeral() as instance:
            return resolved.execute_in_process(
                instance=instance,
                tags=tags or {},
                run_config={"ops": {"training_dataset": {"config": config}}},
                raise_on_error=False,
            )

    return run


def _days(**more):
    return {
        "tenant": "acme",
        "from": START.isoformat(),
        "to": (START + timedelta(days=7)).isoformat(),
        "validation_days": 1,
        "test_days": 1,
    } | more


def test_it_is_materialised_with_what_it_holds_and_its_checks_pass(run, tmp_path):
    result = run(**_days())
    assert result.success
    (made,) = result.asset_materializations_for_node("training_dataset")
    (manifest,) = Releases(open_store(str(tmp_path))).all("acme")
    assert made.metadata["release"].value == manifest.release
    assert made.metadata["rows"].value == manifest.rows()
    assert made.metadata["path"].value.endswith(f"release={manifest.release}")
    assert made.metadata["bytes"].value == sum(f.bytes for f in manifest.content.files)
    passed = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert passed == {"files": True, "split_order": True}


def test_a_run_of_days_makes_no_release_and_one_without_a_tenant_is_refused(run, tmp_path):
    days = run(tags={"dagster/partition": START.isoformat()})
    assert days.success
    assert Releases(open_store(str(tmp_path))).all() == []
    assert not run().success
    assert not run(**_days(to="tomorrow")).success


def test_the_checks_find_an_edited_file_and_a_row_out_of_order(run, tmp_path):
    import polars as pl

    from recsys_pipeline.engines.release_order import late_rows

    assert run(**_days()).success
    objects = open_store(str(tmp_path))
    (manifest,) = Releases(objects).all("acme")
    assert late_rows(objects, manifest) == []
    folder = tmp_path / "training_dataset" / "tenant=acme" / f"release={manifest.release}"
    shard = folder / "train" / "part-00000.parquet"
    rows = pl.read_parquet(shard)
    rows.with_columns(pl.col("timestamp") + pl.duration(days=30)).write_parquet(shard)
    assert {late[1:3] for late in late_rows(objects, manifest)} == {
        ("train", "validation"),
        ("train", "test"),
    }
    again = run(**_days())  # the release is there, and found as it is
    failed = {e.check_name for e in again.get_asset_check_evaluations() if not e.passed}
    assert failed == {"files", "split_order"}
