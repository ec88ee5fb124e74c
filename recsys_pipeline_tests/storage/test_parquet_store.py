"""Publication: compare-and-swap per tenant, whole files, no rows outside their prefix."""

from __future__ import annotations

import multiprocessing
from datetime import date

import polars as pl
import pytest

from recsys_pipeline.errors import StaleInputError, TenantError
from recsys_pipeline.storage import parquet_store
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


def _many(rows):
    names = pl.Series([f"n{i % 7}" for i in range(rows)], dtype=pl.String)
    return pl.DataFrame({"value": range(rows), "name": names}).select(
        pl.lit(DAY).alias("date"), pl.lit("acme").alias("tenant"), "value", "name"
    )


@pytest.mark.parametrize("size", [1, 3, 20, 21, 99, 100])
def test_the_bytes_of_a_file_say_nothing_of_its_parts(store, monkeypatch, size):
    monkeypatch.setitem(parquet_store.PARQUET, "row_group_size", 20)
    frame = _many(99)
    whole = store.publish("table", DAY, {"acme": Content(frame, "x")}, Pin(1, 1))["acme"]
    parts = [frame.slice(at, size) for at in range(0, 99, size)] + [frame.clear()]
    spooled = store.spool(iter([frame.clear(), *parts]), frame.schema)
    record = store.publish("table", DAY, {"acme": Content(spooled, "y")}, Pin(1, 1))["acme"]
    assert (record.rows, record.content) == (99, whole.content)
    assert not spooled.path.exists()
    assert store.scan("table", [(DAY, "acme")]).collect().height == 99


def test_parts_without_rows_are_no_file(store):
    frame = _many(0)
    store.publish("table", DAY, {"acme": Content(_frame(1), "a")}, Pin(1, 1))
    spooled = store.spool(iter([frame, frame]), frame.schema)
    assert not spooled.path.exists()
    record = store.publish("table", DAY, {"acme": Content(spooled, "b")}, Pin(1, 1))["acme"]
    assert (record.rows, record.file) == (0, None)


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_part_that_fails_leaves_no_file(store, tmp_path, before):
    def parts():
        yield from [_many(3)] * before
        raise TenantError("a part", "fails", "as it must")

    with pytest.raises(TenantError):
        store.spool(parts(), _many(0).schema)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
