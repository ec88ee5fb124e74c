"""A release of 90 days, and batches of it against reading its Parquet files alone.

Run: .venv/bin/python -m benchmarks.release --millions 1

Samples of generated events are published once and kept in `.bench/`. Each measurement is a process of
its own: seconds, peak memory, bytes; the loader and its peer take turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from shutil import rmtree
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from benchmarks.data import FOLDER, LAST, START, items_file, raw_file
from recsys_pipeline.engines.publication import publish
from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.engines.steps import SAMPLES, samples, validated_days
from recsys_pipeline.engines.view import VALIDATED, View
from recsys_pipeline.export import iter_batches, open_release
from recsys_pipeline.ingestion.ingest import ingest_files
from recsys_pipeline.settings import Settings
from recsys_pipeline.storage.layout import release_file
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TENANT = "acme"
BATCH = 4096
# what a two-tower model is trained on, and all that is a number
FEW = ["user_index", "item_index", "label"]


def _root(millions: int) -> Path:
    return FOLDER / f"release-{millions}m"


def _settings(millions: int) -> Settings:
    return Settings(_env_file=None, storage_root=str(_root(millions).absolute()), start_date=START)


def _view(millions: int) -> View:
    settings = _settings(millions)
    store = ParquetStore(open_store(settings.storage_root))
    return View(settings, store, None, [TENANT])


def prepare(millions: int) -> None:
    """Publish the samples of all days, once."""
    done = _root(millions) / "prepared"
    if done.exists():
        return
    settings = _settings(millions)
    ingest_files(settings, "items", [str(items_file(millions))], TENANT)
    ingest_files(settings, "interactions", [str(raw_file(millions))], TENANT)
    view = _view(millions)
    for kind in ("items", "interactions"):
        days = view.landed_days(kind)  # type: ignore[arg-type]  # one of the two kinds
        publish(view, VALIDATED[kind], validated_days(view, kind, days))  # type: ignore[arg-type]
    publish(view, SAMPLES, samples(view, view.landed_days("interactions")))
    done.touch()


def release(millions: int, split: str, shard_rows: int) -> dict[str, float]:
    """Make the release of all days."""
    spec = ReleaseSpec(TENANT, START, LAST, split=split, shard_rows=shard_rows)  # type: ignore[arg-type]
    view = _view(millions)
    began = time.perf_counter()
    made = make_release(view, spec)
    seconds = time.perf_counter() - began
    content = made.manifest.content
    inputs = sum(
        record.bytes
        for day in view.published_days(SAMPLES)
        for record in view.records(SAMPLES, day).values()
    )
    rows = Counter(made.manifest.rows())
    return {
        "seconds": seconds,
        "rows": rows.total(),
        "train_rows": rows["train"],
        "files": len(content.files),
        "bytes": sum(file.bytes for file in content.files),
        "input_bytes": inputs,
        "users": content.folds[0].vocabularies["users"],
        "items": content.folds[0].vocabularies["items"],
    }


def load(millions: int, columns: list[str] | None, *, shuffle: bool) -> dict[str, float]:
    """Go through the train split in batches."""
    opened = _open(millions)
    chosen = columns or _numbers(millions)
    began = time.perf_counter()
    rows = 0
    seed = 1 if shuffle else None
    for batch in iter_batches(opened, "train", BATCH, chosen, shuffle_seed=seed):
        rows += len(batch["label"])
    return {"seconds": time.perf_counter() - began, "rows": rows}


def parquet(millions: int, columns: list[str] | None) -> dict[str, float]:
    """Read the same columns of the same files, one after the other, and drop them."""
    opened = _open(millions)
    chosen = columns or _numbers(millions)
    began = time.perf_counter()
    rows = 0
    for file in opened.shards("train"):
        found = opened.objects.uri(release_file(TENANT, opened.manifest.release, file.path))
        rows += pq.read_table(found, columns=chosen, partitioning=None).num_rows
    return {"seconds": time.perf_counter() - began, "rows": rows}


def _open(millions: int):  # noqa: ANN202  # an OpenRelease
    (path,) = (_root(millions) / "training_dataset" / f"tenant={TENANT}").iterdir()
    return open_release(path.absolute())


def _numbers(millions: int) -> list[str]:
    return [c.name for c in _open(millions).manifest.content.columns if c.dtype != "String"]


CASES: dict[str, Callable[[int, int], dict[str, float]]] = {
    "release": lambda m, rows: release(m, "time", rows),
    "release-llo": lambda m, rows: release(m, "leave-last-out", rows),
    "load-few": lambda m, _: load(m, FEW, shuffle=False),
    "read-few": lambda m, _: parquet(m, FEW),
    "load-numbers": lambda m, _: load(m, None, shuffle=False),
    "read-numbers": lambda m, _: parquet(m, None),
    "load-few-shuffled": lambda m, _: load(m, FEW, shuffle=True),
    "load-numbers-shuffled": lambda m, _: load(m, None, shuffle=True),
}


def _child(case: str, millions: int, shard_rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.release", "--case", case]
    command += ["--millions", str(millions), "--shard-rows", str(shard_rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure each case a few times, in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-rows", type=int, default=1_000_000)
    parser.add_argument("--case", choices=[*CASES, "prepare"])
    options = parser.parse_args()
    if options.case == "prepare":
        prepare(options.millions)
        return
    if options.case:
        found = CASES[options.case](options.millions, options.shard_rows)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        peak = usage.ru_maxrss / 2**20
        found |= {"peak_gib": peak, "cpu_seconds": usage.ru_utime + usage.ru_stime}
        print(json.dumps(found))
        return
    prepare_in = [sys.executable, "-m", "benchmarks.release", "--case", "prepare"]
    subprocess.run([*prepare_in, "--millions", str(options.millions)], check=True)
    runs: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(options.rounds):
        for case in ("release-llo", "release"):  # the latter's is what is loaded
            rmtree(_root(options.millions) / "training_dataset", ignore_errors=True)
            runs[case].append(_child(case, options.millions, options.shard_rows))
        for case in list(CASES)[2:]:
            runs[case].append(_child(case, options.millions, options.shard_rows))
    for case, found in runs.items():
        middle = {name: statistics.median(run[name] for run in found) for name in found[0]}
        rate = middle["rows"] / middle["seconds"]
        told = ", ".join(
            f"{name} {value:,.2f}"
            if isinstance(value, float) and value % 1
            else f"{name} {value:,.0f}"
            for name, value in middle.items()
        )
        print(f"{case}: {told}, {rate:,.0f} rows/s")


if __name__ == "__main__":
    main()
