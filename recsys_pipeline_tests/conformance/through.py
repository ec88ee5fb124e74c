"""One go through everything that is stored: landing, tables, a release, an erasure, retention."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from recsys_pipeline.engines.pending import STORED, pending_days
from recsys_pipeline.maintenance.erasure.erase import erase
from recsys_pipeline.maintenance.retention import Retention
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    event,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)
from recsys_pipeline_tests.releases import SPEC, release

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 3
LAST = START + timedelta(days=DAYS - 1)


def run_through(root: str, database: Path) -> tuple[str, dict[str, bytes | None]]:
    """Land, run, release, erase, run again and retain; return the release and all data files."""
    every_day = [event(day=n, user="gone", kind="click") for n in range(DAYS)]
    land(root, [*random_events(3, 150, DAYS), *every_day], "a")
    land(root, [item_version(item=f"i{n}") for n in range(14)], "b", "items")
    settings = settings_for(
        root, metadata_url=f"sqlite:///{database}", state_rows=1, retention={"events": 1}
    )
    run_days(settings, all_days(DAYS))
    made = release(root, SPEC, last=LAST)
    erase(settings, "acme", frozenset({("gone", None)}))
    run_days(settings, all_days(DAYS))
    steps = Retention(settings, ParquetStore(open_store(root)), LAST + timedelta(days=1)).apply()
    assert {step.state for step in steps} == {"done"}
    assert pending_days(view_of(settings)) == []
    objects = open_store(root)
    tables = (*STORED, "training_dataset")
    files = {path: objects.read(path) for table in tables for path in objects.list(f"{table}/")}
    return made.manifest.release, {p: d for p, d in files.items() if "manifest" not in p}
