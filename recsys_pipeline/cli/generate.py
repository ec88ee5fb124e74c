"""`recsys generate`: a synthetic shop to try the pipeline with."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.generator.config import (
    DEFAULT_TYPES,
    MAX_DIRTY,
    Compression,
    FileFormat,
    GeneratorConfig,
    parse_types,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from recsys_pipeline.generator.generate import GeneratedFiles

_DAY = ["%Y-%m-%d"]
_TYPES = ",".join(f"{name}={weight:g}" for name, weight in DEFAULT_TYPES.items())


def generate(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("generated"),
    users: Annotated[int, typer.Option(help="Users.")] = 10_000,
    items: Annotated[int, typer.Option(help="Items of the catalogue.")] = 5_000,
    events: Annotated[int, typer.Option(help="Events, injected rows not counted.")] = 100_000,
    days: Annotated[int | None, typer.Option(help="Days of the window; 90 by default.")] = None,
    start: Annotated[datetime | None, typer.Option(formats=_DAY, help="First day (UTC).")] = None,
    end: Annotated[
        datetime | None,
        typer.Option(formats=_DAY, help="Last day (UTC); yesterday by default."),
    ] = None,
    types: Annotated[str, typer.Option(help="Weight of each interaction type.")] = _TYPES,
    top_share: Annotated[
        float, typer.Option(help="Share of the events made by the most active 20 % of users.")
    ] = 0.8,
    categories: Annotated[int, typer.Option(help="Categories in use, at most 12.")] = 12,
    brands: Annotated[int, typer.Option(help="Brands.")] = 15,
    event_ids: Annotated[
        bool, typer.Option("--event-ids/--no-event-ids", help="Give events an `event_id`.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Same seed and options: same bytes.")] = 1,
    file_format: Annotated[FileFormat, typer.Option("--format", help="Format.")] = "csv",
    compress: Annotated[
        Compression | None,
        typer.Option(help="Compression; by default none for text and zstd for Parquet."),
    ] = None,
    dirty: Annotated[
        float,
        typer.Option(
            help=f"Share of bad rows to inject, 0 to {MAX_DIRTY}; `injected.jsonl` lists them."
        ),
    ] = 0.0,
    tenant: Annotated[
        str,
        typer.Option(
            help="Tenant in the printed commands and of what --produce and --upload send; the data "
            "don't depend on it."
        ),
    ] = "demo",
    produce: Annotated[
        bool,
        typer.Option(
            "--produce", help="Also send both files to the Kafka topics, the items first."
        ),
    ] = False,
    upload: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Also send both files to an upload service, the items first; its key is "
            "RECSYS_UPLOAD_KEY.",
        ),
    ] = None,
) -> None:
    """Write synthetic events and a catalogue to try the pipeline with.

    Example: `recsys generate --start 2025-01-01 --days 7 --events 5000 --dirty 0.02`
    """
    from recsys_pipeline.generator.generate import generate as write_files
    from recsys_pipeline.tenants import check_name

    check_name(tenant)
    if produce:
        _check_kafka(tenant)
    if upload is not None:
        from recsys_pipeline.cli.upload import check_upload

        check_upload(upload, file_format, compress)
    today = datetime.now(UTC).date()
    first, length = window(_date(start), _date(end), days, today=today)
    config = GeneratorConfig(
        start=first,
        days=length,
        users=users,
        items=items,
        events=events,
        types=parse_types(types),
        top_share=top_share,
        categories=categories,
        brands=brands,
        event_ids=event_ids,
        seed=seed,
        file_format=file_format,
        compress=compress,
        dirty=dirty,
    )
    console = Console()
    began = time.perf_counter()
    with _progress(console, events) as progress:
        files = write_files(config, out, progress)
    sent = produce or upload is not None
    _report(console, files, time.perf_counter() - began, None if sent else tenant)
    if produce:
        from recsys_pipeline.cli.produce import run as send

        # from the files: memory stays flat, and what was sent can be looked at and sent again
        send("items", [str(files.items)], tenant, "default")
        send("interactions", [str(files.interactions)], tenant, "default")
    if upload is not None:
        _upload(upload, tenant, {"items": files.items, "interactions": files.interactions})
    if files.end >= today:
        console.print(
            "[yellow]note:[/yellow] the window is not over: events later than their receipt are"
            " quarantined as timestamp.not_future"
        )


def _check_kafka(tenant: str) -> None:
    """Fail before anything is written where it could not be sent."""
    from recsys_pipeline.kafka.config import client_config
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.tenants import tenant_config

    settings = get_settings()
    client_config(settings)
    tenant_config(settings, tenant)


def _upload(url: str, tenant: str, files: Mapping[str, Path]) -> None:
    from recsys_pipeline.cli.upload import say, upload_file
    from recsys_pipeline.settings import get_settings

    for kind, path in files.items():
        say(kind, upload_file(get_settings(), url, tenant, kind, path))


def _date(day: datetime | None) -> date | None:
    return day.date() if day else None


@contextmanager
def _progress(console: Console, events: int) -> Iterator[Callable[[int], None]]:
    """Show a bar of the events written, on a terminal only."""
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("events", total=events)
        yield lambda done: bar.update(task, completed=done)


def _report(console: Console, files: GeneratedFiles, seconds: float, tenant: str | None) -> None:
    """Say what was written, and the commands that land it as a tenant's."""
    table = Table(title=f"{files.start} to {files.end}, {files.days} days")
    table.add_column("file", overflow="fold")
    table.add_column("rows", justify="right")
    table.add_column("bad rows among them", justify="right")
    for path, rows, bad in (
        (files.interactions, files.interaction_rows, files.injected_interactions),
        (files.items, files.item_rows, files.injected_items),
    ):
        table.add_row(escape(str(path)), f"{rows:,}", f"{bad:,}")
    console.print(table)
    rows = files.interaction_rows + files.item_rows
    console.print(f"{seconds:.1f} s, {rows / seconds:,.0f} rows/s")
    if files.injected is not None:
        console.print(f"Bad rows are listed in {escape(str(files.injected))}", soft_wrap=True)
    if tenant is None:
        return
    console.print("Next:")
    for kind, path in (("items", files.items), ("interactions", files.interactions)):
        # a command that is broken over lines can't be pasted
        console.print(
            f"  recsys ingest {kind} {escape(str(path))} --tenant {tenant}", soft_wrap=True
        )
