"""Publication: compare-and-swap per tenant, whole files, no rows outside their prefix."""

from __future__ import annotations

import multiprocessing
from datetime import date

import polars as pl
import pytest

from recsys_pipeline.errors import StaleInputError, TenantError
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import Content, ParquetStore
from recsys_pipeline.storage.records import Pin

DAY = date(2025, 1, 1)


def _frame(value, tenant="acme"):
    return pl.DataFrame({"date": [DAY], "tenant": [tenant], "value": [value]})


@pytest.fixture
def store(tmp_path):
    return ParquetStore(open_store(str(tmp_path)))


def test_an_older_landing_never_replaces_a_newer_publication(store):
    store.publish("table", DAY, {"acme": Content(_frame(2), "new")}, Pin(2, 1))
    with pytest.raises(StaleInputError, match="newer than this run"):
        store.publish("table", DAY, {"acme": Content(_frame(1), "old")}, Pin(1, 1))
    assert store.scan("table", [(DAY, "acme")]).collect().get_column("value").item() == 2


def test_one_stale_tenant_refuses_the_whole_day(store):
    store.publish("table", DAY, {"acme": Content(_frame(2), "new")}, Pin(2, 1))
    with pytest.raises(StaleInputError):
        store.publish(
            "table",
            DAY,
            {"beta": Content(_frame(1, "beta"), "x"), "acme": Content(_frame(1), "old")},
            Pin(1, 1),
        )
    assert set(store.records.day("table", DAY)) == {"acme"}


def test_tenants_switch_apart_and_an_empty_one_loses_its_file(store, tmp_path):
    store.publish("table", DAY, {"acme": Content(_frame(1), "a")}, Pin(1, 1))
    store.publish("table", DAY, {"beta": Content(_frame(2, "beta"), "b")}, Pin(1, 1))
    store.publish("table", DAY, {"acme": Content(_frame(1).clear(), "a2")}, Pin(1, 1))
    assert [p.parent.name for p in (tmp_path / "table").rglob("*.parquet")] == ["tenant=beta"]
    assert store.records.day("table", DAY)["acme"].rows == 0


def test_an_empty_day_can_be_told_from_one_never_published(store):
    store.publish("table", DAY, {}, Pin(1, 1))
    assert store.records.day("table", DAY) == {}
    assert store.records.day("table", date(2025, 1, 2)) is None


def test_a_tenant_name_cannot_leave_its_folder(store):
    with pytest.raises(TenantError, match="not a tenant name"):
        store.publish("table", DAY, {"../../x": Content(_frame(1), "a")}, Pin(1, 1))


def test_hive_levels_are_in_the_path_alone(store, tmp_path):
    store.publish("table", DAY, {"acme": Content(_frame(1), "a")}, Pin(1, 1))
    path = tmp_path / "table/date=2025-01-01/tenant=acme/part-0.parquet"
    assert pl.read_parquet(path, hive_partitioning=False).columns == ["value"]


def _publish_many(root, worker):
    own = ParquetStore(open_store(root))
    for version in range(10):
        try:
            content = Content(_frame(version * 10 + worker), f"{version}-{worker}")
            own.publish("table", DAY, {"acme": content}, Pin(version, 1))
        except StaleInputError:
            pass


def test_concurrent_publishers_leave_the_newest_landing(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_publish_many, args=(str(tmp_path), n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    store = ParquetStore(open_store(str(tmp_path)))
    record = store.records.day("table", DAY)["acme"]
    value = store.scan("table", [(DAY, "acme")]).collect().get_column("value").item()
    assert record.pin == Pin(9, 1)
    assert record.inputs == f"{value // 10}-{value % 10}"
    assert store.objects.identity("table/date=2025-01-01/tenant=acme/part-0.parquet") == record.file
