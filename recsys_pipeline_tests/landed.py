"""Landing tables for tests: rows written as an ingestion would, and the steps run over them."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import polars as pl

from recsys_pipeline.engines.pending import STORED
from recsys_pipeline.engines.publication import publish
from recsys_pipeline.engines.steps import features, samples, validated_days
from recsys_pipeline.engines.view import VALIDATED, View
from recsys_pipeline.schemas.landing import LandedInteraction, LandedItem
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.settings import Settings
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore

START = date(2025, 1, 1)
RECEIVED = datetime(2025, 3, 1, tzinfo=UTC)


def settings_for(root, **values) -> Settings:
    return Settings(
        _env_file=None,
        storage_root=str(root),
        **{"start_date": START, "tenants_file": str(root) + "/tenants.toml", **values},
    )


def event(tenant="acme", day=0, seconds=0, user="u1", item="i1", kind="view", **more) -> dict:
    at = datetime.combine(START, datetime.min.time(), UTC) + timedelta(days=day, seconds=seconds)
    row = {
        "received_at": RECEIVED,
        "source": "file:test",
        "problem": None,
        "raw": None,
        "parked": False,
        "date": at.date(),
        "tenant": tenant,
        "user_id": user,
        "item_id": item,
        "interaction_type": kind,
        "timestamp": at,
        "rating": None,
        "event_id": None,
        "context": None,
    }
    return row | more


def item_version(tenant="acme", day=0, item="i1", **more) -> dict:
    row = {
        "received_at": RECEIVED,
        "source": "file:test",
        "problem": None,
        "raw": None,
        "parked": False,
        "date": START + timedelta(days=day),
        "tenant": tenant,
        "item_id": item,
        "title": f"Title {item}",
        "category": "Audio",
        "price": 9.5,
        "brand": None,
        "updated_at": None,
        "description": None,
        "available": True,
        "attributes": None,
    }
    return row | more


def land(root, rows: list[dict], batch: str, kind="interactions") -> None:
    """Land rows as one batch per tenant."""
    model = LandedInteraction if kind == "interactions" else LandedItem
    for tenant in sorted({row["tenant"] for row in rows}):
        numbered = [
            row | {"batch_id": f"{tenant}-{batch}", "position": n}
            for n, row in enumerate((r for r in rows if r["tenant"] == tenant), start=1)
        ]
        frame = pl.DataFrame(numbered, schema=dict(frame_schema(model)))
        landed = Landing(str(root), kind).append([frame], tenant=tenant, key=batch, sequence=1)
        assert landed


def random_events(seed: int, count: int, days: int = 8, tenants=("acme", "beta")) -> list[dict]:
    """Return events over sparse days, some of them bad, some of them repeats."""
    rng = random.Random(seed)
    busy = [d for d in range(days) if rng.random() < 0.7] or [0]
    rows = []
    for _ in range(count):
        if rows and rng.random() < 0.05:
            rows.append(dict(rng.choice(rows)))
            continue
        rows.append(
            event(
                rng.choice(tenants),
                rng.choice(busy),
                rng.randrange(86_400),
                f"u{rng.randrange(12)}",
                f"i{rng.randrange(15)}",
                rng.choice(["view", "view", "click", "like", "add_to_cart", "purchase", "wink"]),
                rating=rng.choice([None, None, 3.5, 4.999, 7.0]),
            )
        )
    return rows


def view_of(settings: Settings, tenants=None) -> View:
    return View(settings, ParquetStore(open_store(settings.storage_root)), None, tenants)


def run_days(settings: Settings, days, tenants=None, *, force=False, steps=None) -> View:
    """Run steps in order for some days, as the assets do."""
    view = view_of(settings, tenants)
    wanted = sorted(days)
    for step in steps or ("items", "interactions", "user", "item", "samples"):
        if step in ("items", "interactions"):
            publish(view, VALIDATED[step], validated_days(view, step, wanted, force=force))
        elif step == "samples":
            publish(view, "training_samples", samples(view, wanted, force=force))
        else:
            publish(view, f"{step}_features", features(view, step, wanted, force=force))
    return view


def all_days(count: int) -> list[date]:
    return [START + timedelta(days=n) for n in range(count)]


def file_hashes(root) -> dict[str, str]:
    """Return the hash of every published data file by its path."""
    import hashlib
    from pathlib import Path

    base = Path(str(root))
    return {
        str(path.relative_to(base)): hashlib.sha256(path.read_bytes()).hexdigest()
        for asset in STORED
        for path in sorted((base / asset).rglob("*.parquet"))
    }
