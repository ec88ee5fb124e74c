"""Erasure, retention, and what remembering the erased costs whatever lands.

Run: .venv/bin/python -m benchmarks.upkeep --millions 1

Tables of 90 days of generated events are published once, with a release, and kept in `.bench/`. Each
measurement is a process of its own on a copy of them: seconds, peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from shutil import copytree, rmtree
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.data import FOLDER, LAST, START, items_file, raw_file
from recsys_pipeline.engines.publication import publish
from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.engines.steps import features, samples, validated_days
from recsys_pipeline.engines.view import VALIDATED, View
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline.maintenance.erasure.erase import erase
from recsys_pipeline.maintenance.retention import Retention
from recsys_pipeline.settings import Settings
from recsys_pipeline.storage.erased import remember
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TENANT = "acme"
SEALED_DAYS = 60


def _root(millions: int, name: str) -> Path:
    return FOLDER / f"upkeep-{millions}m" / name


def _settings(millions: int, name: str) -> Settings:
    return Settings(
        _env_file=None,
        storage_root=str(_root(millions, name).absolute()),
        metadata_url=f"sqlite:///{_root(millions, name).absolute()}.db",
        start_date=START,
        retention={"events": 90 - SEALED_DAYS},
    )


def _view(millions: int, name: str) -> View:
    settings = _settings(millions, name)
    return View(settings, ParquetStore(open_store(settings.storage_root)), None, [TENANT])


def prepare(millions: int) -> None:
    """Publish all tables and a release, once."""
    done = _root(millions, "prepared")
    if done.exists():
        return
    settings = _settings(millions, "whole")
    ingest_files(settings, "items", [str(items_file(millions))], TENANT)
    ingest_files(settings, "interactions", [str(raw_file(millions))], TENANT)
    view = _view(millions, "whole")
    for kind in ("items", "interactions"):
        days = view.landed_days(kind)  # type: ignore[arg-type]  # one of the two kinds
        publish(view, VALIDATED[kind], validated_days(view, kind, days))  # type: ignore[arg-type]
    days = view.landed_days("interactions")
    for side in ("user", "item"):
        publish(view, f"{side}_features", features(view, side, days))  # type: ignore[arg-type]
    publish(view, "training_samples", samples(view, days))
    make_release(view, ReleaseSpec(TENANT, START, LAST))
    done.touch()


def _erase(millions: int) -> dict[str, float]:
    settings = _settings(millions, "copy")
    landed = pl.scan_parquet(f"{settings.storage_root}/validated_interactions/**/*.parquet")
    busiest = landed.group_by("user_id").len().sort("len", "user_id").tail(1).collect()
    ids = frozenset({(str(busiest["user_id"].item()), None)})
    began = time.perf_counter()
    receipt = erase(settings, TENANT, ids)
    seconds = time.perf_counter() - began
    layers = {layer.name: layer for layer in receipt.passes[0].layers}
    began = time.perf_counter()
    erase(settings, TENANT, ids)
    return {
        "seconds": seconds,
        "again_seconds": time.perf_counter() - began,
        "files": sum(layer.looked_at for layer in layers.values()),
        "changed": sum(layer.changed for layer in layers.values()),
        "rows": sum(layer.rows for layer in layers.values()),
    }


def _retain(millions: int) -> dict[str, float]:
    settings = _settings(millions, "copy")
    store = ParquetStore(open_store(settings.storage_root))
    began = time.perf_counter()
    steps = list(Retention(settings, store, LAST + timedelta(days=1)).apply())
    seconds = time.perf_counter() - began
    (done,) = (step for step in steps if step.state == "done")
    sealed = sum(one.size for one in store.objects.list("_meta/sealed/").values())
    return {"seconds": seconds, "days": done.count, "rows": done.rows, "sealed_bytes": sealed}


def _land(millions: int, erased: int) -> dict[str, float]:
    rmtree(_root(millions, "landed"), ignore_errors=True)
    settings = _settings(millions, "landed")
    if erased:
        ids = frozenset((f"nobody-{number}", None) for number in range(erased))
        remember(open_store(settings.storage_root), TENANT, ids, "2025-01-01T00:00:00+00:00")
    began = time.perf_counter()
    (summary,) = ingest_files(settings, "interactions", [str(raw_file(millions))], TENANT)
    return {"seconds": time.perf_counter() - began, "rows": summary.counts.landed}


CASES: dict[str, Callable[[int], dict[str, float]]] = {
    "erase": _erase,
    "retain": _retain,
    "land": lambda millions: _land(millions, 0),
    "land-erased": lambda millions: _land(millions, 100),
}


def _child(case: str, millions: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.upkeep", "--case", case]
    done = subprocess.run(
        [*command, "--millions", str(millions)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure each case a few times, in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=[*CASES, "prepare"])
    options = parser.parse_args()
    if options.case == "prepare":
        prepare(options.millions)
        return
    if options.case:
        found = CASES[options.case](options.millions)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = usage.ru_utime + usage.ru_stime
        print(json.dumps(found | {"peak_gib": usage.ru_maxrss / 2**20, "cpu_seconds": cpu}))
        return
    prepare_in = [sys.executable, "-m", "benchmarks.upkeep", "--case", "prepare"]
    subprocess.run([*prepare_in, "--millions", str(options.millions)], check=True)
    runs: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(options.rounds):
        for case, made in runs.items():
            if not case.startswith("land"):
                copy = _root(options.millions, "copy")
                rmtree(copy, ignore_errors=True)
                copytree(_root(options.millions, "whole"), copy)  # with the times of files
            made.append(_child(case, options.millions))
    for case, made in runs.items():
        middle = {name: statistics.median(run[name] for run in made) for name in made[0]}
        print(f"{case}: " + ", ".join(f"{name} {value:,.2f}" for name, value in middle.items()))


if __name__ == "__main__":
    main()
