"""`recsys ingest`: files into the landing zone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recsys_pipeline.cli.console import err, out, print_json
from recsys_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from datetime import date

    from recsys_pipeline.ingestion.ingest import IngestSummary, Mode
    from recsys_pipeline.storage.landing import Kind

app = typer.Typer(help="Land files of interactions or items.", no_args_is_help=True)

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="CSV, TSV, JSON lines, JSON array or Parquet; plain, gzip or zstd; local or s3://.",
    ),
]
Tenant = Annotated[str, typer.Option(help="Owner of the rows.")]
MappingOption = Annotated[
    str | None,
    typer.Option(help="Built-in name (movielens, rees46, taobao) or TOML file: docs/mappings.md."),
]
Replace = Annotated[
    str | None, typer.Option(metavar="BATCH", help="Withdraw this batch in the same transaction.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the summaries as JSON.")]


@app.command("interactions")
def interactions(
    files: Files,
    tenant: Tenant,
    mapping: MappingOption = None,
    replace: Replace = None,
    json: Json = False,
) -> None:
    """Land events: what users did with items.

    A row that can't be read lands with its text and the reason, and ends in quarantine. The same
    file ingested again changes nothing.

    Example: `recsys ingest interactions events.csv --tenant acme`
    """
    _run("interactions", files, tenant, mapping, None, "upsert", replace, json=json)


@app.command("items")
def items(
    files: Files,
    tenant: Tenant,
    mapping: MappingOption = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Day (YYYY-MM-DD) of versions without a time of their own."),
    ] = None,
    mode: Annotated[
        Literal["upsert", "snapshot"],
        typer.Option(help="snapshot: the file is the whole catalogue, withdraw what it lacks."),
    ] = "upsert",
    replace: Replace = None,
    json: Json = False,
) -> None:
    """Land versions of catalogue items.

    Example: `recsys ingest items products.csv --tenant acme`
    """
    _run("items", files, tenant, mapping, as_of, mode, replace, json=json)


def _day(text: str | None) -> date | None:
    from datetime import date

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            "--as-of", f"{text!r} is not a date", "Write it as 2025-01-31"
        ) from None


def _run(
    kind: Kind,
    files: list[str],
    tenant: str,
    mapping: str | None,
    as_of: str | None,
    mode: Mode,
    replace: str | None,
    *,
    json: bool,
) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    from recsys_pipeline.ingestion.ingest import Options, ingest_each
    from recsys_pipeline.settings import get_settings

    done: list[IngestSummary] = []
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
            tasks = {name: bars.add_task(name, total=None) for name in files}

            def show(name: str, read: int, size: int) -> None:
                bars.update(tasks[name], completed=read, total=size)

            options = Options(_day(as_of), mode, replace)
            settings = get_settings()
            for summary in ingest_each(
                settings, kind, files, tenant, mapping, options=options, progress=show
            ):
                done.append(summary)  # noqa: PERF402  # kept if a later file fails
    finally:
        # files that landed before one that failed have landed
        if json:
            print_json([asdict(summary) for summary in done])
        elif done:
            _print(done)


def _print(done: list[IngestSummary]) -> None:
    from rich.markup import escape

    for summary in done:
        counts = summary.counts
        unreadable = ", ".join(f"{code} {count:,}" for code, count in counts.unreadable.items())
        lines = {
            "file": escape(summary.file),
            "batch": summary.batch_id or "none",
            "rows read": f"{counts.read:,}",
            "landed": "0 (landed before)" if summary.already_landed else f"{counts.landed:,}",
            "unreadable": unreadable or "0",
            "parked": f"{counts.parked:,}",
            "days touched": _days(summary),
        }
        if summary.withdrawn:
            lines["withdrawn"] = f"{summary.withdrawn:,} items"
        for name, value in lines.items():
            out.print(f"[bold]{name:<13}[/bold]{value}", soft_wrap=True)
        for notice in summary.notices:
            err.print(f"[yellow]note:[/yellow] {escape(notice)}", soft_wrap=True)


def _days(summary: IngestSummary) -> str:
    counts = summary.counts
    if not counts.days:
        return "-"
    if counts.days == 1:
        return str(counts.first_day)
    return f"{counts.days:,} from {counts.first_day} to {counts.last_day}"
