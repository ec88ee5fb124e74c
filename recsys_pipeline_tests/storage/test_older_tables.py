"""A landing table that an older contract made goes on being read and written."""

from __future__ import annotations

import threading

import polars as pl
import pytest

from recsys_pipeline.storage import delta_files, landing_table
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.landing_erasure import ErasableLanding
from recsys_pipeline.storage.landing_repair import RepairableLanding, Replacement, Scope
from recsys_pipeline_tests.storage.landing_rows import landed, rows

LATER = ["revision", "context"]  # columns that the older contract lacks


@pytest.fixture
def older(monkeypatch):
    """Return a function that lands a batch as the older contract did."""

    def land(root, key, positions, **more) -> None:
        with monkeypatch.context() as patch:
            known = {n: k for n, k in delta_files.STATISTICS.items() if n != "revision"}
            patch.setattr(delta_files, "STATISTICS", known)
            patch.setattr(landing_table, "STATISTICS", known)
            setting = {"delta.dataSkippingStatsColumns": ",".join(known)}
            patch.setattr(landing_table, "CONFIGURATION", setting)
            table = Landing(str(root), "interactions")
            kept = {n: k for n, k in table._schema.items() if n not in LATER}
            table._schema = pl.Schema(kept)
            frame = rows(f"{key}-1", positions, **more).drop(LATER)
            assert table.append([frame], tenant="acme", key=key, sequence=1)

    return land


def current(root, key, positions, **more) -> bool:
    frame = rows(f"{key}-1", positions, **more)
    return Landing(str(root), "interactions").append([frame], tenant="acme", key=key, sequence=1)


def columns(root) -> set[str]:
    return {field.name for field in Landing(str(root), "interactions")._reopen().schema().fields}


def test_it_is_read_as_it_was(tmp_path, older):
    older(tmp_path / "old", "a", range(9))
    current(tmp_path / "new", "a", range(9))
    old, new = (Landing(str(tmp_path / n), "interactions").snapshot() for n in ("old", "new"))
    assert "revision" not in columns(tmp_path / "old")
    # the same hash: what was published of it stays current
    assert old.content() == new.content()
    same = [name for name in new.scan().collect_schema() if name not in LATER]
    found = old.scan().collect()
    assert found.columns == new.scan().collect().columns
    assert found.select(LATER).null_count().row(0) == (9, 9)
    assert (
        found.select(same)
        .sort("position")
        .equals(new.scan().select(same).collect().sort("position"))
    )


def test_it_grows_and_all_that_writes_goes_on(tmp_path, older):
    older(tmp_path, "a", range(9))
    older(tmp_path, "b", range(9))
    table = Landing(str(tmp_path), "interactions")
    version = table.snapshot().version
    assert current(tmp_path, "c", range(9))
    assert not current(tmp_path, "c", range(9))
    assert {*LATER} <= columns(tmp_path)
    # readers that pinned the older version are left what they had
    assert table.snapshot(version).scan().collect().height == 18
    assert table.changes(version) == {(d, "acme") for d, _ in table.snapshot().content()}
    content = table.snapshot().content()
    table.compact()
    assert table.snapshot().content() == content
    assert len(delta_files.live_files(table._reopen())) == len(content)
    contexts = table.snapshot().scan().group_by("batch_id").agg(pl.col("context").null_count())
    expected = rows("c-1", range(9))["context"].null_count()
    assert dict(contexts.collect().iter_rows()) == {"a-1": 9, "b-1": 9, "c-1": expected}
    assert table.retract("a-1") == 9
    users = table.snapshot().scan().select("user_id").collect().to_series()
    gone = ErasableLanding(str(tmp_path), "interactions").remove(
        ["acme"], lambda frame: frame["user_id"] == users[0]
    )
    assert gone.rows == (users == users[0]).sum()
    assert table.snapshot().scan().collect().height == 18 - gone.rows


class _Everything:
    def of(self, frame: pl.DataFrame) -> Replacement:
        return Replacement(pl.int_range(frame.height, dtype=pl.UInt32, eager=True), frame)


def test_rows_of_it_are_replaced(tmp_path, older):
    older(tmp_path, "a", range(9))
    table = RepairableLanding(str(tmp_path), "interactions")
    before = table.snapshot().content()
    table.repair(Scope("acme"), _Everything)
    after = table.snapshot().content()
    assert {p: c.rows for p, c in after.items()} == {p: c.rows for p, c in before.items()}
    assert all(after[p].content != before[p].content for p in before)


def test_the_older_code_goes_on_beside_the_newer(tmp_path, older):
    older(tmp_path, "a", range(3))
    current(tmp_path, "b", range(3))
    older(tmp_path, "c", range(3))
    found = Landing(str(tmp_path), "interactions")
    assert len(landed(found)) == 9
    assert found._reopen().metadata().configuration == landing_table.CONFIGURATION


def test_several_widen_it_at_once(tmp_path, older):
    older(tmp_path, "a", range(3))
    faults: list[BaseException] = []

    def write(key):
        try:
            assert current(tmp_path, key, range(3))
        except BaseException as error:  # noqa: BLE001  # told below
            faults.append(error)

    threads = [threading.Thread(target=write, args=(f"k{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(landed(Landing(str(tmp_path), "interactions"))) == 15


@pytest.mark.parametrize("step", ["add_columns", "set_table_properties"])
def test_killed_while_it_is_widened(tmp_path, older, monkeypatch, step):
    from deltalake.table import TableAlterer

    older(tmp_path, "a", range(3))
    original = getattr(TableAlterer, step)

    def die(*arguments, **more):
        original(*arguments, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TableAlterer, step, die)
        with pytest.raises(KeyboardInterrupt):
            current(tmp_path, "b", range(3))
    assert current(tmp_path, "b", range(3))
    table = Landing(str(tmp_path), "interactions")
    assert len(landed(table)) == 6
    assert table._reopen().metadata().configuration == landing_table.CONFIGURATION
