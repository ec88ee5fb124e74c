"""Old runs go where others have made the same partitions since, and the UI loses nothing."""

from datetime import datetime, timedelta

import dagster as dg
import pytest

from recsys_pipeline.resources import pruned_runs
from recsys_pipeline.resources.pruned_runs import prune_runs

DAYS = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-05")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def table() -> None: ...


@dg.asset(partitions_def=DAYS)
def broken() -> None:
    raise ValueError


@dg.asset
def whole() -> None: ...


@pytest.fixture
def instance(monkeypatch):
    """An instance, seen a month from now."""

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=30)

    monkeypatch.setattr(pruned_runs, "datetime", Later)
    with dg.instance_for_test() as made:
        yield made


def run(instance, asset, *, first=None, last=None) -> str:
    tags = {}
    if first:
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
    return dg.materialize([asset], instance=instance, tags=tags, raise_on_error=False).run_id


def test_a_run_goes_when_every_partition_of_it_was_made_again(instance):
    old = run(instance, table, first="2025-01-01", last="2025-01-02")
    half = run(instance, table, first="2025-01-03", last="2025-01-04")
    failed = dg.materialize(
        [broken], instance=instance, partition_key="2025-01-01", raise_on_error=False
    ).run_id
    release = run(instance, whole)
    new = run(instance, table, first="2025-01-01", last="2025-01-03")
    status = instance.get_status_by_partition(table.key, DAYS.get_partition_keys(), DAYS)
    assert prune_runs(instance, 7) == 2
    assert {one.run_id for one in instance.get_runs()} == {half, release, new}
    assert old not in {half, new}
    assert failed
    assert instance.get_status_by_partition(table.key, DAYS.get_partition_keys(), DAYS) == status
    latest = instance.get_latest_materialization_event(table.key)
    assert latest is not None
    assert latest.run_id == new


def test_young_runs_stay(instance):
    for _ in range(2):
        run(instance, table, first="2025-01-01")
    assert prune_runs(instance, 31) == 0
    assert prune_runs(instance, 29) == 1


def test_runs_that_must_stay_hide_none_that_need_not(instance, monkeypatch):
    monkeypatch.setattr(pruned_runs, "MOST", 2)
    monkeypatch.setattr(pruned_runs, "PAGE", 2)
    stays = {run(instance, table, first=f"2025-01-0{day}") for day in (1, 2, 3)}
    for _ in range(4):
        last = run(instance, table, first="2025-01-04")
    assert [prune_runs(instance, 7) for _ in range(3)] == [2, 1, 0]
    assert {one.run_id for one in instance.get_runs()} == {*stays, last}
