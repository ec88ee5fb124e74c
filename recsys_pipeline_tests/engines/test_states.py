"""Kept states: what a run reads instead of history, and never when they are not of today's events."""

from __future__ import annotations

import shutil
from datetime import timedelta
from random import Random

import pytest

from recsys_pipeline.engines import states
from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.engines.state_files import kept_state
from recsys_pipeline.engines.view import View
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    event,
    file_hashes,
    land,
    run_days,
    settings_for,
    view_of,
)

DAYS = 24


def day(number):
    return START + timedelta(days=number)


def events_of(number, tenant="acme", count=6):
    return [
        event(tenant, number, 60 * n, f"u{n % 4}", f"i{(n * number) % 11}", kind)
        for n, kind in zip(range(count), ["view", "click", "like"] * count, strict=False)
    ]


@pytest.fixture
def root(tmp_path):
    """A landing of many days, one batch a day."""
    for number in range(DAYS):
        land(tmp_path, events_of(number) + events_of(number, "beta"), f"d{number}")
    return tmp_path


def kept(root, tenant="acme"):
    return sorted(path.name[:10] for path in (root / "_meta/state" / tenant).glob("*.arrow"))


@pytest.fixture
def days_read(monkeypatch):
    """The validated days that steps have read, by tenant."""
    found = set()
    read = View.valid

    def noted(self, kind, partitions):
        if kind == "interactions":
            found.update(partitions)
        return read(self, kind, partitions)

    monkeypatch.setattr(View, "valid", noted)
    return found


def config_for(root, **values):
    return settings_for(root, **({"state_rows": 1} | values))


def fresh_hashes(root, tmp_path_factory, config, days):
    other = tmp_path_factory.mktemp("fresh")
    for table in ("raw_interactions", "raw_items"):
        if (root / table).exists():
            shutil.copytree(root / table, other / table)
    run_days(settings_for(other, negative_strategy=config.negative_strategy), days)
    return file_hashes(other)


@pytest.mark.parametrize("step", ["user", "item", "samples"])
def test_a_new_day_reads_the_days_since_the_state_and_no_more(root, days_read, step):
    config = config_for(root)
    run_days(config, all_days(DAYS - 2))
    assert kept(root)
    newest = START.fromisoformat(kept(root)[-1])
    days_read.clear()
    run_days(config, [day(DAYS - 1)], steps=(step,))
    assert {d for d, _ in days_read} == {
        day(n) for n in range(DAYS) if newest < day(n) <= day(DAYS - 1)
    }


@pytest.mark.slow
def test_kept_states_are_a_week_apart_and_few(root, tmp_path_factory):
    config = config_for(root)
    for number in range(DAYS):
        run_days(config, [day(number)])
    assert kept(root) == [day(n).isoformat() for n in (0, 7, 14, 21)]
    assert file_hashes(root) == fresh_hashes(root, tmp_path_factory, config, all_days(DAYS))


@pytest.mark.slow
def test_the_latest_states_stay(root, monkeypatch):
    monkeypatch.setattr(states, "KEPT", 2)
    config = config_for(root)
    for number in range(DAYS):
        run_days(config, [day(number)], steps=("interactions", "user"))
    assert kept(root) == [day(14).isoformat(), day(21).isoformat()]
    run_days(config, [day(3)], steps=("user",), force=True)
    assert kept(root)[-2:] == [day(14).isoformat(), day(21).isoformat()]


def test_days_of_many_events_keep_a_state_sooner(root):
    config = config_for(root, chunk_rows=12)
    run_days(config, all_days(4), steps=("interactions",))
    for number in range(4):
        run_days(config, [day(number)], steps=("user",))
    assert len(kept(root)) >= 2


def test_a_small_tenant_keeps_none(root):
    run_days(settings_for(root), all_days(DAYS))
    assert kept(root) == []


@pytest.mark.slow
def test_a_late_event_is_seen_through_an_earlier_state(root, days_read, tmp_path_factory):
    config = config_for(root)
    for number in range(DAYS):
        run_days(config, [day(number)])
    land(root, [event("acme", 9, 5, "u9", "i9", "click")], "late")
    days_read.clear()
    run_days(config, pending_days(view_of(config)))
    features_read = {d for d, tenant in days_read if tenant == "acme"}
    assert min(features_read) == day(8)
    assert not {d for d, tenant in days_read if tenant == "beta"}
    assert file_hashes(root) == fresh_hashes(root, tmp_path_factory, config, all_days(DAYS))


@pytest.mark.slow
def test_a_retraction_is_seen_through_an_earlier_state(root, tmp_path_factory):
    config = config_for(root)
    run_days(config, all_days(DAYS))
    Landing(str(root), "interactions").retract("acme-d20")
    run_days(config, pending_days(view_of(config)))
    assert file_hashes(root) == fresh_hashes(root, tmp_path_factory, config, all_days(DAYS))


def test_any_damage_of_a_kept_state_is_seen(root):
    run_days(config_for(root), all_days(DAYS))
    store, path = open_store(str(root)), next_state(root)
    whole = store.read(path)
    assert kept_state(store, path) is not None
    random = Random(7)
    for _ in range(150):
        begin = random.randrange(len(whole))
        damaged = bytearray(whole)
        size = random.choice([1, 16, 512])
        damaged[begin : begin + size] = random.randbytes(size) if size < 512 else bytes(size)
        store.write(path, bytes(damaged[: len(whole)]))
        state = kept_state(store, path)
        if state is not None:  # what was hit is not part of any array
            assert arrays_of(state) == arrays_of(whole_state(store, whole))


def whole_state(store, data):
    store.write("_meta/whole.arrow", data)
    return kept_state(store, "_meta/whole.arrow")


def arrays_of(state):
    groups = [bucket.arrays() for bucket in state.buckets] + [state.items.arrays()]
    return [{name: array.tobytes() for name, array in group.items()} for group in groups]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", marks=pytest.mark.slow),
        pytest.param(b"ARROW1 and then nothing", marks=pytest.mark.slow),
        None,
    ],
)
def test_a_damaged_state_is_passed_over(root, damage, tmp_path_factory):
    config = config_for(root)
    run_days(config, all_days(DAYS - 1))
    for path in (root / "_meta/state").rglob("*.arrow"):
        path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    run_days(config, [day(DAYS - 1)])
    assert file_hashes(root) == fresh_hashes(root, tmp_path_factory, config, all_days(DAYS))


@pytest.mark.slow
@pytest.mark.parametrize("chunk_rows", [12, 50])
def test_a_state_in_buckets_on_disk_gives_the_same_files(root, chunk_rows, tmp_path_factory):
    config = config_for(root, chunk_rows=chunk_rows, negative_strategy="viewed").model_copy(
        update={"state_bucket_mib": 0}
    )
    run_days(config, all_days(DAYS - 1))
    run_days(config, [day(DAYS - 1)])
    state = kept_state(open_store(str(root)), next_state(root))
    assert len(state.buckets) > 1
    assert not list((root / "_meta/unfinished").glob("*"))
    assert file_hashes(root) == fresh_hashes(root, tmp_path_factory, config, all_days(DAYS))


def next_state(root, tenant="acme"):
    return max(
        path.relative_to(root).as_posix() for path in (root / "_meta/state" / tenant).iterdir()
    )
