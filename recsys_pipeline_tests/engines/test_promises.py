"""Attempts to break the core: each test states what the design promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from recsys_pipeline.engines.pending import pending_days, standings
from recsys_pipeline.engines.publication import publish
from recsys_pipeline.engines.steps import validate, validated_days
from recsys_pipeline.engines.view import VALIDATED
from recsys_pipeline.errors import RecsysError
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    event,
    file_hashes,
    item_version,
    land,
    run_days,
    settings_for,
    view_of,
)


def _events(tenant, day, count=4, kind="click"):
    return [event(tenant, day, n, f"u{n % 3}", f"i{n}", kind) for n in range(count)]


def _three_days(root):
    for day in range(3):
        land(root, _events("acme", day) + _events("beta", day), f"d{day}")
    return settings_for(root)


def _validated(day, tenant="acme", asset="validated_interactions"):
    return f"{asset}/date={START + timedelta(days=day)}/tenant={tenant}/part-0.parquet"


@pytest.mark.parametrize("step", ["user", "item", "samples"])
def test_a_void_record_of_an_earlier_day_does_not_stop_a_later_day(tmp_path, step):
    """A kill between file and record leaves a void record; any order of runs is right."""
    config = _three_days(tmp_path)
    run_days(config, all_days(3))
    before = file_hashes(tmp_path)
    (tmp_path / _validated(0)).write_bytes(b"another file")
    run_days(config, [START + timedelta(days=2)], steps=(step,), force=True)
    after = file_hashes(tmp_path)
    del before[_validated(0)], after[_validated(0)]
    assert after == before


def test_a_void_feature_record_does_not_stop_samples_of_a_later_day(tmp_path):
    config = _three_days(tmp_path)
    run_days(config, all_days(3))
    (tmp_path / _validated(0, asset="user_features")).unlink()
    run_days(config, [START + timedelta(days=2)], force=True)


def _bad(tenant, day, count):
    return [event(tenant, day, 50_000 + n, f"u{n}", "i1", "wink") for n in range(count)]


def test_a_held_day_whose_file_is_gone_settles(tmp_path):
    config = settings_for(tmp_path, quarantine_min_rows=3)
    for day in range(3):
        land(tmp_path, _events("acme", day), f"d{day}")
    run_days(config, all_days(3))
    land(tmp_path, _bad("acme", 1, 20), "bad")
    run_days(config, all_days(3))
    (tmp_path / _validated(1)).unlink()
    run_days(config, pending_days(view_of(config)))
    run_days(config, pending_days(view_of(config)))
    assert pending_days(view_of(config)) == []


def test_retraction_of_everything_leaves_features_stale_until_removed(tmp_path):
    """A run killed after validation: what follows must still be due."""
    config = settings_for(tmp_path)
    land(tmp_path, _events("acme", 0), "only")
    run_days(config, all_days(1))
    Landing(str(tmp_path), "interactions").retract("acme-only")
    run_days(config, all_days(1), steps=("items", "interactions"))
    left = [p for p in file_hashes(tmp_path) if p.startswith(("user_features", "training"))]
    assert not left or pending_days(view_of(config))


def test_force_covers_days_that_lost_their_rows(tmp_path, use_root):
    from recsys_pipeline.runs import days_to_run

    use_root(tmp_path)
    config = settings_for(tmp_path)
    land(tmp_path, _events("acme", 0), "only")
    run_days(config, all_days(1))
    Landing(str(tmp_path), "interactions").retract("acme-only")
    assert days_to_run(START, START, [], force=False) == [START]
    assert days_to_run(START, START, [], force=True) == [START]


def test_a_catalogue_from_before_the_start_date_is_never_lost_in_silence(tmp_path):
    config = settings_for(tmp_path, quarantine_min_rows=3)
    land(
        tmp_path,
        [item_version(day=-30, item=f"i{n}") for n in range(8)]
        + [item_version(day=-30, item=f"b{n}", title="") for n in range(4)],
        "items",
        "items",
    )
    land(tmp_path, _events("acme", 0), "d0")
    view = run_days(config, all_days(1))
    seen = view.effective("items", START)
    told = [s for s in standings(view_of(config)) if s.state == "held"]
    assert told or not any(e.held for e in seen.values())


def test_a_tenant_missing_from_tenants_toml_stops_nobody_else(tmp_path):
    _three_days(tmp_path)
    (tmp_path / "tenants.toml").write_text("[tenants.acme]\n")
    config = settings_for(tmp_path, auto_tenants=False)
    run_days(config, all_days(3))
    assert any("tenant=acme" in path for path in file_hashes(tmp_path))


def test_a_limit_that_changes_no_verdict_makes_nothing_stale(tmp_path):
    config = _three_days(tmp_path)
    run_days(config, all_days(3))
    other = settings_for(tmp_path, quarantine_limit=0.2)
    assert pending_days(view_of(other)) == []


def test_a_lower_start_date_without_earlier_events_makes_nothing_stale(tmp_path):
    config = _three_days(tmp_path)
    run_days(config, all_days(3))
    earlier = config.model_copy(update={"start_date": START - timedelta(days=30)})
    assert pending_days(view_of(earlier)) == []


def test_a_killed_validation_goes_on_where_it_was(tmp_path):
    config = settings_for(tmp_path, chunk_rows=1)
    for day in range(6):
        land(tmp_path, _events("acme", day), f"d{day}")
    view = view_of(config)

    class KilledError(Exception):
        pass

    def killed():
        for number, good in enumerate(validated_days(view, "interactions", all_days(6))):
            if number == 5:
                raise KilledError
            yield good

    with pytest.raises(KilledError):
        publish(view, VALIDATED["interactions"], killed())
    todo = [
        len(good.contents) for good, _ in validate(view_of(config), "interactions", all_days(6))
    ]
    assert sum(todo) < 6


def test_an_older_pin_with_the_same_inputs_keeps_the_newer_pin(tmp_path):
    """Landed, then withdrawn: versions 1 and 3 agree, 2 does not, and 3 is published."""
    from recsys_pipeline.errors import StaleInputError
    from recsys_pipeline.storage.objects import open_store
    from recsys_pipeline.storage.parquet_store import Content, ParquetStore
    from recsys_pipeline.storage.records import Pin

    store = ParquetStore(open_store(str(tmp_path)))
    frame = pl.DataFrame({"date": [START], "tenant": ["acme"], "value": [1]})
    store.publish("asset", START, {"acme": Content(frame, "x")}, Pin(3, 0))
    store.publish("asset", START, {"acme": Content(frame, "x")}, Pin(1, 0))
    with pytest.raises(StaleInputError):
        store.publish("asset", START, {"acme": Content(frame, "y")}, Pin(2, 0))


@pytest.mark.parametrize("folder", ["env=prod", "data[1]", "a b", "x*y"])
def test_any_folder_name_serves_as_root(tmp_path, folder):
    config = _three_days(tmp_path / folder)
    run_days(config, all_days(3))
    assert pending_days(view_of(config)) == []
    run_days(config, all_days(3), force=True)


def test_listing_survives_concurrent_removal(tmp_path):
    import threading

    from recsys_pipeline.storage.local_store import LocalStore

    store = LocalStore(str(tmp_path))
    over = threading.Event()

    def churn():
        n = 0
        while not over.is_set():
            n += 1
            for day in range(20):
                path = f"a/date={day}/tenant=acme/part-0.parquet"
                store._path(path).parent.mkdir(parents=True, exist_ok=True)
                store._path(path).write_bytes(b"x")
            for day in range(20):
                store.delete(f"a/date={day}/tenant=acme/part-0.parquet")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(400):
            store.list("a/")
    finally:
        over.set()
        thread.join()


def test_status_shows_a_tenant_with_only_items(tmp_path, use_root, capsys):
    from recsys_pipeline.cli.status import status

    use_root(tmp_path)
    land(tmp_path, [item_version()], "items", "items")
    status(None, False)
    assert "Nothing is landed" not in capsys.readouterr().out


def test_null_dates_are_not_dropped_by_the_io_manager(tmp_path):
    from recsys_pipeline.errors import StorageError
    from recsys_pipeline.io_manager import _by_day

    frame = pl.DataFrame({"date": [START, None], "tenant": ["acme", "acme"], "value": [1, 2]})
    with pytest.raises(StorageError):
        list(_by_day(view_of(settings_for(tmp_path)), "asset", [START], frame))


def test_duckdb_reads_every_table(tmp_path):
    import duckdb

    config = settings_for(tmp_path)
    land(tmp_path, _events("acme", 0) + _events("beta", 1) + _bad("acme", 0, 2), "e")
    land(
        tmp_path,
        [item_version(item=f"i{n}") for n in range(3)] + [item_version(title="")],
        "i",
        "items",
    )
    run_days(config, all_days(2))
    from recsys_pipeline.engines.pending import STORED

    for asset in STORED:
        rows = duckdb.sql(
            f"SELECT tenant, date, count(*) FROM read_parquet('{tmp_path}/{asset}/**/*.parquet', "
            "hive_partitioning=true) GROUP BY ALL"
        ).fetchall()
        assert rows, asset


def test_rows_that_break_a_contract_are_not_published(tmp_path, monkeypatch):
    """A blocking check comes after the write, so rows are to be judged before it."""
    from recsys_pipeline.engines import steps
    from recsys_pipeline.errors import ContractError

    config = _three_days(tmp_path)
    run_days(config, all_days(3))
    before = file_hashes(tmp_path)
    real = steps.user_features
    monkeypatch.setattr(
        steps,
        "user_features",
        lambda *args: real(*args).with_columns(total_interactions=pl.lit(-1, pl.Int64)),
    )
    with pytest.raises(ContractError):
        run_days(config, all_days(3), steps=("user",), force=True)
    assert file_hashes(tmp_path) == before


def test_samples_that_break_a_contract_leave_nothing_behind(tmp_path, monkeypatch):
    """They are judged part by part: the first day's are in files already when the last one fails."""
    from recsys_pipeline.engines import steps
    from recsys_pipeline.errors import ContractError
    from recsys_pipeline.storage.layout import TEMPORARY

    config = _three_days(tmp_path)
    run_days(config, all_days(3))
    before = file_hashes(tmp_path)
    real = steps.training_samples

    def broken(*args):
        *parts, last = real(*args)
        bad = last.rows.with_columns(label=pl.lit(2.0))
        return iter([*parts, replace(last, rows=bad)])

    monkeypatch.setattr(steps, "training_samples", broken)
    with pytest.raises(ContractError, match="label"):
        run_days(config, all_days(3), steps=("samples",), force=True)
    assert file_hashes(tmp_path) == before
    assert not list((tmp_path / TEMPORARY).iterdir())


def test_acceptance_covers_the_share_that_the_day_has_now(tmp_path, use_root):
    from recsys_pipeline.cli.quarantine import accept

    use_root(tmp_path, quarantine_min_rows=3)
    config = settings_for(tmp_path, quarantine_min_rows=3)
    land(tmp_path, _events("acme", 0, 80), "good")
    land(tmp_path, _bad("acme", 0, 20), "bad")
    run_days(config, all_days(1))
    land(tmp_path, _bad("acme", 0, 200), "worse")
    try:
        accept("acme", START.isoformat(), "interactions", "seen", run=False)
    except RecsysError:
        return  # refusing a day that has moved on is as good
    run_days(config, all_days(1))
    assert not view_of(config).records("validated_interactions", START)["acme"].held


def test_raising_the_code_version_of_the_quarantine_makes_it_stale(tmp_path, monkeypatch):
    from recsys_pipeline.engines import view as module

    config = _three_days(tmp_path)
    run_days(config, all_days(3))
    monkeypatch.setitem(module.CODE_VERSIONS, "quarantined_interactions", "raised")
    assert pending_days(view_of(config))


def test_a_file_whose_record_was_never_written_leaves_with_its_rows(tmp_path):
    """Killed between file and record; then the batch is withdrawn before the next run."""
    config = settings_for(tmp_path)
    land(tmp_path, _events("acme", 0), "keep")
    land(tmp_path, _events("beta", 0), "wrong")
    run_days(config, all_days(1))
    for record in (tmp_path / "_meta" / "published").rglob("*.json"):
        record.unlink()
    Landing(str(tmp_path), "interactions").retract("beta-wrong")
    run_days(config, all_days(1))
    assert [path for path in file_hashes(tmp_path) if "tenant=beta" in path] == []
