"""What a look of the exporter costs, at a store of some days and tenants.

Usage: python -m benchmarks.exporter DAYS [TENANTS]

Lands five events a day and tenant, makes every table of them, and looks: at first, with nothing changed,
and with one day's publication changed.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import polars as pl

from recsys_pipeline.engines.publication import publish
from recsys_pipeline.engines.steps import features, samples, validated_days
from recsys_pipeline.engines.view import VALIDATED, View
from recsys_pipeline.observability.exporter import sources
from recsys_pipeline.schemas.landing import LandedInteraction, LandedItem
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.settings import Settings
from recsys_pipeline.storage.landing import Kind, Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore

START = date(2010, 1, 1)
EVENTS = 5
RECEIVED = datetime(2025, 1, 1, tzinfo=UTC)


def land(root: str, tenant: str, days: list[date], key: str) -> None:
    """Land five events of each day, and five items."""
    common = {"received_at": RECEIVED, "source": "file:x", "parked": False, "tenant": tenant}
    events = [
        {
            **common,
            "date": day,
            "batch_id": f"{tenant}-{key}",
            "position": 1 + EVENTS * n + k,
            "user_id": f"u{k}",
            "item_id": f"i{k}",
            "interaction_type": "click",
            "timestamp": datetime(day.year, day.month, day.day, k, tzinfo=UTC),
        }
        for n, day in enumerate(days)
        for k in range(EVENTS)
    ]
    items = [
        {**common, "date": START, "batch_id": f"{tenant}-{key}-items", "position": 1 + k,
         "item_id": f"i{k}", "title": f"Item {k}", "category": "Audio", "available": True}
        for k in range(EVENTS)
    ]  # fmt: skip
    kinds: dict[Kind, tuple[type, list[dict[str, object]]]] = {
        "interactions": (LandedInteraction, events), "items": (LandedItem, items),
    }  # fmt: skip
    for kind, (model, rows) in kinds.items():
        frame = pl.DataFrame(rows, schema=dict(frame_schema(model)))
        Landing(root, kind).append([frame], tenant=tenant, key=f"{key}-{kind}", sequence=1)


def run(settings: Settings, days: list[date]) -> None:
    """Make every table."""
    view = View(settings, ParquetStore(open_store(settings.storage_root)))
    for kind in ("items", "interactions"):
        publish(view, VALIDATED[kind], validated_days(view, kind, days))
    publish(view, "user_features", features(view, "user", days))
    publish(view, "item_features", features(view, "item", days))
    publish(view, "training_samples", samples(view, days))


def peak_mib(settings: Settings) -> int:
    """Look twice; return the most memory that this process has held."""
    found = sources(settings)
    for source in found * 2:
        source.look()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(count: int, tenants: int) -> None:
    """Print one JSON object."""
    days = [START + timedelta(days=n) for n in range(count)]
    with tempfile.TemporaryDirectory() as root:
        settings = Settings(
            storage_root=root, start_date=START, tenants_file=Path(root) / "tenants.toml"
        )
        for n in range(tenants):
            land(root, f"t{n}", days, "first")
        began = time.perf_counter()
        run(settings, days)
        made = time.perf_counter() - began
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            peak = fresh.submit(peak_mib, settings).result()
        found = {source.name: source for source in sources(settings)}
        looks = []
        for look in ("first", *["unchanged"] * 3, *["one day changed"] * 3):
            if look == "one day changed":
                land(root, "t0", days[-1:], f"more{len(looks)}")
                run(settings, days[-1:])
            cpu = time.process_time()
            for source in found.values():
                source.look()
                assert source.is_up, source.name  # noqa: S101  # a look that fails measures nothing
            seconds = {s.name: round(s.pass_seconds, 3) for s in found.values()}
            cpu = round(time.process_time() - cpu, 3)
            looks.append({"look": look, "cpu_seconds": cpu, **seconds})
        print(json.dumps({
            "days": count, "tenants": tenants, "made_seconds": round(made, 1), "looks": looks,
            "peak_mib": peak,
        }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
