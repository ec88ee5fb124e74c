"""What is stored in batches reads like what Dagster stores one by one."""

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.base import EventLogStorage

from recsys_pipeline.resources.event_log import BatchingEventLog

DAYS = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-31")
KEYS = DAYS.get_partition_keys()
TAGS = {
    "dagster/asset_partition_range_start": KEYS[0],
    "dagster/asset_partition_range_end": KEYS[-1],
}
CUSTOM = {
    "module": "recsys_pipeline.resources.event_log",
    "class": "BatchingStorage",
    "config": {"base_dir": {"env": "DAGSTER_HOME"}},
}


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run(), tags={"of": "test"})
def first(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    for day in context.partition_keys:
        context.add_asset_metadata({"day": day}, partition_key=day)
    return dg.MaterializeResult(data_version=dg.DataVersion("v"))


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run(), deps=[first])
def second() -> None: ...


@dg.asset_check(asset=second)
def check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def _home(tmp_path, monkeypatch, name, config):
    home = tmp_path / name
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.dump(config | {"telemetry": {"enabled": False}}))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return str(home)


def _run(home):
    with dg.DagsterInstance.from_config(home) as instance:
        result = dg.materialize([first, second, check], instance=instance, tags=TAGS)
        assert result.success
        return result.run_id


def _seen(home, run_id):
    """Everything that the UI asks of the storage, without what differs between any two runs."""
    with dg.DagsterInstance.from_config(home) as instance:
        storage = instance.event_log_storage
        seen = {"log": sorted(e.dagster_event_type.value for e in instance.all_logs(run_id))}
        for asset in (first, second):
            key = asset.key
            records = instance.fetch_materializations(key, limit=100).records
            materializations = [r.event_log_entry.asset_materialization for r in records]
            seen[key] = {
                "made": [(m.partition, m.metadata, sorted(m.tags)) for m in materializations],
                "partitions": instance.get_materialized_partitions(key),
                "ids": [r.storage_id for r in records]
                == [storage.get_event_records(dg.EventRecordsFilter(
                    dg.DagsterEventType.ASSET_MATERIALIZATION, key, [m.partition]))[0].storage_id
                    for m in materializations],
                "tags": [sorted(of_event) for of_event in storage.get_event_tags_for_asset(key)],
                "versions": storage.get_latest_storage_id_by_partition(
                    key, dg.DagsterEventType.ASSET_MATERIALIZATION).keys(),
                "latest": instance.get_latest_materialization_event(key)
                .asset_materialization.partition,
                "latest_run": instance.get_asset_records([key])[0].asset_entry.last_run_id,
            }  # fmt: skip
        history = storage.get_asset_check_execution_history(
            dg.AssetCheckKey(second.key, "check"), limit=9
        )
        seen["check"] = [record.status.value for record in history]
        return seen


@pytest.mark.slow
def test_a_batched_range_reads_like_one_stored_one_by_one(tmp_path, monkeypatch):
    default = _home(tmp_path, monkeypatch, "default", {})
    default_run = _run(default)
    batched = _home(tmp_path, monkeypatch, "batched", {"storage": {"custom": CUSTOM}})
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "7")  # whole batches and a rest
    stored = []
    real = BatchingEventLog._store_asset_events
    monkeypatch.setattr(
        BatchingEventLog,
        "_store_asset_events",
        lambda self, run_id, events: stored.append(len(events)) or real(self, run_id, events),
    )
    batched_run = _run(batched)
    # what was planned and what was made, of two assets
    assert sum(stored) == 4 * len(KEYS)
    assert set(stored) > {7}
    one_by_one = _seen(default, default_run)
    for asset in (first.key, second.key):
        # run ids are the only difference
        assert one_by_one[asset].pop("latest_run") == default_run
    together = _seen(batched, batched_run)
    for asset in (first.key, second.key):
        assert together[asset].pop("latest_run") == batched_run
    assert together[first.key]["partitions"] == set(KEYS)
    assert together[first.key]["ids"]
    assert together == one_by_one


@pytest.mark.slow
def test_an_instance_of_dagsters_own_storage_goes_on(tmp_path, monkeypatch):
    home = _home(tmp_path, monkeypatch, "home", {})
    earlier = _run(home)
    (tmp_path / "home" / "dagster.yaml").write_text(yaml.dump({"storage": {"custom": CUSTOM}}))
    with dg.DagsterInstance.from_config(home) as instance:
        assert isinstance(instance.event_log_storage, BatchingEventLog)
        assert instance.get_run_by_id(earlier).is_success
        assert instance.get_materialized_partitions(first.key) == set(KEYS)


@pytest.mark.slow
def test_a_batch_that_fails_is_stored_one_by_one(tmp_path, monkeypatch):
    home = _home(tmp_path, monkeypatch, "home", {"storage": {"custom": CUSTOM}})
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "500")

    def fail(self, run_id, events):
        raise OSError("disk full")

    monkeypatch.setattr(BatchingEventLog, "_store_asset_events", fail)
    run_id = _run(home)
    assert _seen(home, run_id)[first.key]["partitions"] == set(KEYS)


def test_dagsters_own_storage_still_stores_batches_one_by_one():
    """When it no longer does, ours can go."""
    assert SqliteEventLogStorage.store_event_batch is EventLogStorage.store_event_batch
