"""`make demo`: a synthetic shop, from generated events to training samples, on this machine.

The window ends yesterday and the start date is its first day, so the partition bar is full. The
window is kept beside the Dagster instance: a second demo finds its data landed and current.
"""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

DAYS = 90
DIRTY = 0.02
TENANT = "demo"


def _window(home: Path) -> date:
    """Return the first day of the demo's window, the same for every demo of an instance."""
    kept = home / "demo.env"
    if kept.exists() and (found := re.search(r"RECSYS_START_DATE=(\S+)", kept.read_text())):
        return date.fromisoformat(found[1])
    start = datetime.now(UTC).date() - timedelta(days=DAYS)
    kept.write_text(f"export RECSYS_START_DATE={start}\n")
    return start


def main() -> None:
    """Generate, ingest and run, then say what was made and where."""
    from recsys_pipeline.cli.console import err, out
    from recsys_pipeline.errors import SettingsError
    from recsys_pipeline.settings import dagster_home

    home = dagster_home()
    if home is None:
        raise SettingsError("DAGSTER_HOME", "is not set", "Use `make demo`, or `. ./dev.env` first")
    start = _window(Path(home))
    # the settings are read when the pipeline is first imported, below
    os.environ["RECSYS_START_DATE"] = start.isoformat()

    from recsys_pipeline.generator.config import GeneratorConfig
    from recsys_pipeline.generator.generate import generate
    from recsys_pipeline.ingestion.ingest import ingest_files
    from recsys_pipeline.runs import dagster_instance, days_to_run, run_range
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def lap(step: str) -> None:
        seconds[step] = time.perf_counter() - began - sum(seconds.values())

    with err.status("generating 10,000 users, 5,000 items and 100,000 events"):
        config = GeneratorConfig(start=start, days=DAYS, dirty=DIRTY)
        folder = Path(settings.storage_root) / "generated"
        folder.mkdir(parents=True, exist_ok=True)
        files = generate(config, folder)
        lap("generate")
    with err.status("landing them"):
        received = datetime.now(UTC)
        ingest_files(settings, "items", [str(files.items)], TENANT, None, received_at=received)
        events = [str(files.interactions)]
        ingest_files(settings, "interactions", events, TENANT, None, received_at=received)
        lap("ingest")
    with dagster_instance() as instance:
        # today's partition holds the parked rows: those whose own day can't be known
        days = days_to_run(start, datetime.now(UTC).date(), [], force=False)
        failed: list[tuple[str, str, str]] = []
        if days:
            with err.status("running the assets") as status:
                run = run_range(
                    instance,
                    days[0],
                    days[-1],
                    report=lambda step, _: status.update(f"running the assets: {step}"),
                )
            failed = run.failed_checks
            asset_seconds = {k: v for k, v in run.seconds.items() if k in _STEPS}
            seconds |= asset_seconds
            seconds["checks"] = sum(run.seconds.values()) - sum(asset_seconds.values())
        lap("load Dagster, record events")
    _report(seconds, time.perf_counter() - began)
    for asset, check, words in failed:
        out.print(f"[yellow]![/yellow] {asset} · {check}: {words}")
    if not days:
        out.print("Everything was landed and current already. `make clean-data` starts over.")
    for words, command in _NEXT:
        # a command that is broken over lines can't be pasted
        out.print(f"[bold]{words:<18}[/bold] {command}", soft_wrap=True)


_STEPS = (
    "raw_interactions", "raw_items", "split_interactions", "split_items", "user_features",
    "item_features", "training_samples",
)  # fmt: skip
_READ = "python -c \"import polars as pl; print(pl.read_parquet('data/training_samples/'))\""
_NEXT = [
    ("open the UI", "make dev, then http://127.0.0.1:3000/asset-groups"),
    ("see what is where", ". ./dev.env; recsys status"),
    ("read the samples", _READ),
]


def _report(seconds: dict[str, float], total: float) -> None:
    from recsys_pipeline.cli.console import out, table
    from recsys_pipeline.engines.pending import STORED
    from recsys_pipeline.resources.pipeline import open_view

    view = open_view()
    rows: list[tuple[str, int, int]] = []
    for kind in ("items", "interactions"):
        landed = view.landed(kind)
        rows.append((f"raw_{kind}", sum(c.rows for c in landed.values()), len(landed)))
    reasons: dict[str, int] = {}
    for asset in STORED:
        found = [
            record
            for day in view.published_days(asset)
            for record in view.records(asset, day).values()
        ]
        files = [record for record in found if record.file]
        rows.append((asset, sum(r.rows for r in found), len(files)))
        if asset.startswith("quarantined"):
            for record in found:
                for reason, count in record.counts.get("reasons", {}).items():
                    reasons[reason] = reasons.get(reason, 0) + count
    out.print(table("Rows by layer", ("layer", "rows", "files"), rows))
    where = view.store.objects.uri("LAYER/date=2025-01-31/tenant=NAME/part-0.parquet")
    out.print(f"Files are {where}\n", soft_wrap=True)
    by_count = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    out.print(table("Quarantine by reason", ("reason", "rows"), by_count), "")
    laps = [(step, f"{spent:.1f}") for step, spent in seconds.items()]
    out.print(table("Seconds by step", ("step", "seconds"), [*laps, ("total", f"{total:.1f}")]), "")


if __name__ == "__main__":
    from rich.markup import escape

    from recsys_pipeline.cli.console import err as console
    from recsys_pipeline.errors import RecsysError

    try:
        main()
    except RecsysError as error:
        console.print(f"[red]error:[/red] {escape(str(error))}")
        sys.exit(1)
