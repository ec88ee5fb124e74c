"""Retention that is killed anywhere: later days stay as they are, and the next one leaves nothing behind."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from recsys_pipeline.engines.pending import pending_days
from recsys_pipeline.maintenance.erasure.erase import erase
from recsys_pipeline.maintenance.retention import Retention
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
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
from recsys_pipeline_tests.maintenance.kills import KilledError, kill_at  # noqa: F401  # the fixture

DAYS = 4
TODAY = START + timedelta(days=DAYS)
KEPT = {"events": 2, "quarantine": 2, "samples": 2}
FIRST = START + timedelta(days=DAYS - 2)


def retention(root, **kept) -> None:
    settings = settings_for(root, retention=kept)
    steps = list(Retention(settings, ParquetStore(open_store(str(root))), TODAY).apply())
    assert {step.state for step in steps} <= {"done", "nothing"}


def filled(root) -> None:
    """Land and make four days, of which the first is sealed."""
    for day in range(DAYS):
        rows = [event(day=day, user=f"u{n}", item=f"i{n + day}", kind="click") for n in range(3)]
        land(root, [*rows, event(day=day, user="u1", item="i1", kind="wink")], f"d{day}")
    land(root, [item_version(item=f"i{n}") for n in range(8)], "items", "items")
    run_days(settings_for(root), all_days(DAYS))
    retention(root, events=3)


def kept_days(root) -> dict[str, str]:
    return {p: h for p, h in file_hashes(root).items() if p.split("/")[1] >= f"date={FIRST}"}


@pytest.mark.slow
def test_it_goes_on(tmp_path, kill_at):  # noqa: F811  # the fixture
    filled(tmp_path / "made")
    before = kept_days(tmp_path / "made")
    for number in range(0, 100, 3):
        root = shutil.copytree(
            tmp_path / "made", tmp_path / str(number), copy_function=shutil.copy2
        )
        kill_at(number)
        try:
            retention(root, **KEPT)
        except KilledError:
            kill_at(-1)
            run_days(settings_for(root), all_days(DAYS), force=True)
            assert kept_days(root) == before, number
            retention(root, **KEPT)
        else:
            break
        assert pending_days(view_of(settings_for(root))) == []
        assert len(open_store(str(root)).list("_meta/sealed/")) == 1, number
        landed = Landing(str(root), "interactions").snapshot().content()
        assert min(day for day, _ in landed) == FIRST, number
        left = {p for p in file_hashes(root) if p.split("/")[1] < f"date={FIRST}"}
        assert {p.split("/")[0] for p in left} <= {"user_features", "item_features"} | {
            "validated_items"
        }, number
    assert number > 10


def test_a_state_that_a_killed_seal_has_left_is_nobodys(tmp_path, kill_at):  # noqa: F811  # the fixture
    filled(tmp_path)
    objects = open_store(str(tmp_path))
    (old,) = objects.list("_meta/sealed/")
    kill_at(1)  # before the horizon is moved
    with pytest.raises(KilledError):
        retention(tmp_path, **KEPT)
    kill_at(-1)
    (lost,) = set(objects.list("_meta/sealed/")) - {old}
    settings = settings_for(tmp_path, metadata_url=f"sqlite:///{tmp_path}/m.db")
    erase(settings, "acme", frozenset({("u2", None)}))
    assert lost not in objects.list("_meta/sealed/")
    assert len(objects.list("_meta/sealed/")) == 1
