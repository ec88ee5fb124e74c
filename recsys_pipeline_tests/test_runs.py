"""Attempts to break runs inside Dagster: stale inputs, re-execution, future days, concurrency."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import dagster as dg
import pytest

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.storage.parquet_store import ParquetStore
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


def _events(tenant, day, count=4, kind="click", seconds=0):
    return [event(tenant, day, seconds + n, f"u{n % 3}", f"i{n}", kind) for n in range(count)]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def _other_run_first(monkeypatch, asset, do):
    """Just before this run publishes an asset, another run lands and publishes something."""
    real = ParquetStore.publish
    done = []

    def publish(self, name, *more):
        if name == asset and not done:
            done.append(1)
            do()
        return real(self, name, *more)

    monkeypatch.setattr(ParquetStore, "publish", publish)
    return done


@pytest.mark.parametrize(
    "asset",
    [
        "validated_items", "quarantined_items", "validated_interactions",
        "quarantined_interactions", "user_features", "item_features", "training_samples",
    ],
)  # fmt: skip
def test_a_run_overtaken_by_a_newer_one_pins_anew_and_succeeds(
    tmp_path, use_root, monkeypatch, instance, asset
):
    from recsys_pipeline.runs import run_range

    root, whole = tmp_path / "root", tmp_path / "whole"
    use_root(root)
    first = _events("acme", 0) + _events("acme", 1) + [event("acme", 0, 9, kind="wink")]
    items = [item_version(item=f"i{n}") for n in range(6)] + [item_version(title="")]
    later = [*_events("acme", 0, 3, "like", 5000), event("acme", 0, 8000, kind="wonk")]
    later_items = [item_version(item="i9"), item_version(day=1, item="i8", title="")]

    def other():
        land(root, later, "later")
        land(root, later_items, "later-items", "items")
        run_days(settings_for(root), all_days(2))

    land(root, first, "first")
    land(root, items, "items", "items")
    done = _other_run_first(monkeypatch, asset, other)
    run_range(instance, START, START + timedelta(days=1))
    assert done
    monkeypatch.undo()
    use_root(root)
    # the run may have left earlier steps as the newer run made them, and nothing stale
    assert pending_days(view_of(settings_for(root))) == []
    for base, name, kind in (
        (first, "first", "interactions"), (later, "later", "interactions"),
        (items, "items", "items"), (later_items, "later-items", "items"),
    ):  # fmt: skip
        land(whole, base, name, kind)
    run_days(settings_for(whole), all_days(2))
    assert file_hashes(root) == file_hashes(whole)


def test_a_repinned_step_fails_no_conservation_check(tmp_path, use_root, monkeypatch, instance):
    """Both kinds land, and another run publishes items, after this one has split its events."""
    from recsys_pipeline.runs import run_range

    use_root(tmp_path)
    land(tmp_path, _events("acme", 0), "first")
    land(tmp_path, [item_version(item=f"i{n}") for n in range(6)], "items", "items")

    def other():
        land(tmp_path, _events("acme", 0, 3, "like", 5000), "later")
        land(tmp_path, [item_version(item="i9")], "later-items", "items")
        run_days(settings_for(tmp_path), all_days(1), steps=("items",))

    done = _other_run_first(monkeypatch, "validated_items", other)
    run = run_range(instance, START, START)
    assert done
    assert [c for c in run.failed_checks if "conserved" in c[1]] == []


@pytest.mark.slow
def test_a_reexecuted_run_reads_what_has_landed_since(tmp_path, use_root, instance):
    from recsys_pipeline.definitions import defs
    from recsys_pipeline.partitions import RANGE_END, RANGE_START
    from recsys_pipeline.resources.pipeline import PIN_TAG

    use_root(tmp_path)
    land(tmp_path, _events("acme", 0), "first")
    job = defs.resolve_job_def("daily_pipeline")
    day = START.isoformat()
    first = job.execute_in_process(instance=instance, tags={RANGE_START: day, RANGE_END: day})
    assert first.success
    land(tmp_path, _events("acme", 0, 3, "like", 5000), "second")
    # what the UI's Re-execute and Dagster's run retries do: the parent's tags are kept
    parent = instance.get_run_by_id(first.run_id)
    assert PIN_TAG in parent.tags
    tags = {k: v for k, v in parent.tags.items() if not k.startswith(".dagster")}
    again = job.execute_in_process(
        instance=instance, tags=tags | {"dagster/parent_run_id": first.run_id}
    )
    assert again.success
    assert pending_days(view_of(settings_for(tmp_path))) == []


def test_a_window_past_today_runs_what_has_a_partition(tmp_path, use_root, monkeypatch, instance):
    """A catalogue version dated ahead is landed; `recsys run --to` a far day must not crash."""
    from contextlib import contextmanager, suppress
    from datetime import UTC, datetime

    from recsys_pipeline import runs
    from recsys_pipeline.cli.run import run
    from recsys_pipeline.errors import RecsysError

    use_root(tmp_path)
    ahead = (datetime.now(UTC).date() - START).days + 3
    land(tmp_path, _events("acme", 0), "first")
    land(tmp_path, [item_version(), item_version(day=ahead, item="i2")], "items", "items")

    @contextmanager
    def same():
        yield instance

    monkeypatch.setattr(runs, "dagster_instance", same)
    with suppress(RecsysError):  # a clear line is as good
        run(None, (START + timedelta(days=ahead + 5)).isoformat(), None, False, False)


def test_no_user_value_in_events_or_metadata(tmp_path, use_root, instance):
    from recsys_pipeline.runs import run_range

    use_root(tmp_path)
    secret = "secretuser42"
    rows = [event("acme", 0, n, secret, f"secretitem{n}", "click") for n in range(5)]
    rows += [
        event(
            "acme",
            0,
            90,
            "u" * 300 + secret,
            "i1",
            "secrettype",
            raw="secretraw",
            context='{"a":"secretcontext"}',
        ),
        event("acme", 0, 91, secret, "i1", "click", rating=99.0),
    ]
    land(tmp_path, rows, "a")
    land(tmp_path, [item_version(title="secrettitle" + "x" * 600)], "i", "items")
    run = run_range(instance, START, START)
    text = "\n".join(f"{e}" for e in instance.all_logs(run.run_id))
    assert "secret" not in text


@pytest.mark.slow
def test_two_runs_of_the_same_days_at_once_both_succeed(tmp_path):
    land(
        tmp_path / "root",
        [e for d in range(12) for e in _events("acme", d) + _events("beta", d)],
        "a",
    )
    land(tmp_path / "root", [item_version(item=f"i{n}") for n in range(9)], "i", "items")
    code = (
        "import sys, dagster as dg\n"
        "from datetime import date\n"
        "from recsys_pipeline.runs import run_range\n"
        "with dg.DagsterInstance.ephemeral() as i:\n"
        "    run_range(i, date(2025,1,1), date(2025,1,12), force=True)\n"
    )
    env = os.environ | {"RECSYS_STORAGE_ROOT": str(tmp_path / "root")}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [(process.communicate()[1][-600:], process.returncode) for process in both]
    assert [code for _, code in ends] == [0, 0], ends
    assert pending_days(view_of(settings_for(tmp_path / "root"))) == []
