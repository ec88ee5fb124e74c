"""The definitions load quietly, and every asset says what a reader of the UI needs."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from recsys_pipeline.definitions import defs
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.tables import CONTRACTS

SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
STORED = sorted(CONTRACTS)


def test_loading_gives_no_warning():
    code = "import recsys_pipeline.definitions as d; d.defs.resolve_all_job_defs()"
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True
    )
    ours = [line for line in done.stderr.splitlines() if "Warning" in line and "dagster" in line]
    assert ours == []


def test_the_groups_follow_the_way_of_the_data():
    groups = {spec.group_name for spec in SPECS.values()}
    assert groups == {"sources", "raw", "validated", "features", "training"}


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_asset_is_described_owned_and_kinded(name):
    spec = SPECS[name]
    assert len(spec.description or "") > 30
    assert spec.owners
    assert spec.kinds


@pytest.mark.parametrize("name", STORED)
def test_every_stored_asset_has_its_contract_and_checks(name):
    spec = SPECS[name]
    assert spec.code_version
    assert isinstance(spec.partitions_def, dg.DailyPartitionsDefinition)
    columns = spec.metadata["dagster/column_schema"].columns
    assert [c.name for c in columns] == list(frame_schema(CONTRACTS[name]))
    checks = {
        key.name
        for d in defs.asset_checks or []
        for key in d.check_keys  # type: ignore[union-attr]
        if key.asset_key == spec.key
    }
    assert "contract" in checks


def test_todays_partition_exists():
    from datetime import UTC, datetime

    daily = SPECS["raw_interactions"].partitions_def
    at = datetime(2025, 3, 1, 12, tzinfo=UTC)
    assert daily.get_partition_keys(current_time=at)[-1] == "2025-03-01"


def test_every_stored_asset_is_made_in_single_runs():
    graph = defs.resolve_asset_graph()
    for name in STORED:
        policy = graph.get(dg.AssetKey(name)).backfill_policy
        assert policy == dg.BackfillPolicy.single_run()


def test_the_schedule_requests_yesterday_and_stale_days(use_root, tmp_path):
    from datetime import UTC, datetime

    from recsys_pipeline.schedules import daily_schedule
    from recsys_pipeline_tests.landed import event, land

    use_root(tmp_path)
    land(tmp_path, [event(day=2), event(day=100)], "a")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=datetime(2025, 8, 1, 1, tzinfo=UTC)
        )
        requests = daily_schedule.evaluate_tick(context).run_requests
    ranges = [
        (r.tags["dagster/asset_partition_range_start"], r.tags["dagster/asset_partition_range_end"])
        for r in requests
    ]
    assert ranges == [
        ("2025-01-03", "2025-01-03"),
        ("2025-04-11", "2025-04-11"),
        ("2025-07-31", "2025-07-31"),
    ]


def test_the_release_schedule_requests_one_of_each_tenant_with_samples(tmp_path, use_root):
    from datetime import UTC, datetime

    from recsys_pipeline.schedules import release_schedule
    from recsys_pipeline_tests.releases import small_root

    use_root(small_root(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=datetime(2025, 1, 13, 4, tzinfo=UTC)
        )
        requests = release_schedule.evaluate_tick(context).run_requests
        late = dg.build_schedule_context(
            instance, scheduled_execution_time=datetime(2026, 1, 5, 4, tzinfo=UTC)
        )
        skipped = release_schedule.evaluate_tick(late)
    configs = [r.run_config["ops"]["training_dataset"]["config"] for r in requests]
    assert {config["tenant"] for config in configs} == {r.tags["tenant"] for r in requests}
    assert "acme" in {config["tenant"] for config in configs}
    assert {(config["from"], config["to"]) for config in configs} == {("2025-01-01", "2025-01-12")}
    assert skipped.run_requests == []
    assert "No tenant" in skipped.skip_message


def test_the_contract_type_judges_lazy_frames():
    from recsys_pipeline.contract_metadata import contract_type
    from recsys_pipeline.schemas.interactions import Interaction
    from recsys_pipeline.schemas.rules import empty_frame

    kind = contract_type("validated_interactions")
    frame = empty_frame(Interaction)
    context = dg.build_op_context()
    assert kind.type_check(context, frame.lazy()).success
    assert not kind.type_check(context, frame.drop("user_id").lazy()).success
