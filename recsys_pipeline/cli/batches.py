"""`recsys batches`: what has been ingested, and how to withdraw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recsys_pipeline.cli.console import out, table

if TYPE_CHECKING:
    from datetime import date

    from recsys_pipeline.ingestion.batches import Batch, BatchStatus

app = typer.Typer(help="List, show and withdraw what was ingested.", no_args_is_help=True)

DAYS_SHOWN = 10

BatchId = Annotated[str, typer.Argument(metavar="ID", help="Batch id, as `list` shows it.")]


@app.command("list")
def list_(
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this tenant's batches.")
    ] = None,
    kind: Annotated[
        Literal["interactions", "items"] | None, typer.Option(help="Only batches of this kind.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List batches, latest first.

    Example: `recsys batches list --tenant acme`
    """
    from rich.markup import escape

    from recsys_pipeline.ingestion.batches import list_batches
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.tenants import check_name

    if tenant is not None:
        check_name(tenant)
    found = list_batches(get_settings().storage_root, kind=kind, tenant=tenant)
    if json:
        _print_json(found)
        return
    if not found:
        typer.echo("No batches. Ingest a file with: recsys ingest interactions FILE --tenant NAME")
        return
    columns = ("batch", "state", "tenant", "kind", "received", "rows", "source")
    rows = [
        (
            status.batch.batch_id,
            status.state,
            status.batch.tenant,
            status.batch.kind,
            f"{status.batch.received_at:%Y-%m-%d}",
            status.batch.counts.landed if status.batch.counts else "",
            escape(status.batch.source),
        )
        for status in found
    ]
    out.print(table("", columns, rows, whole=columns[:-1]))


@app.command("show")
def show(
    batch_id: BatchId, json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False
) -> None:
    """Show one batch: where it came from, and what became of its rows.

    Example: `recsys batches show 0123456789abcdef-1`
    """
    from rich.markup import escape

    from recsys_pipeline.ingestion.batches import show_batch
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    status = show_batch(settings.storage_root, batch_id, start_date=settings.start_date)
    if json:
        _print_json(status)
        return
    facts = _facts(status)
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        out.print(f"[bold]{name:<{width}}[/bold]  {escape(value)}", soft_wrap=True)


@app.command("retract")
def retract(
    batch_id: BatchId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Withdraw a batch: its rows leave the landing zone in one transaction.

    What was made of them is stale until the next run.

    Example: `recsys batches retract 0123456789abcdef-1`
    """
    from recsys_pipeline.ingestion.batches import retract_batch, show_batch
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    root, start_date = settings.storage_root, settings.start_date
    batch = show_batch(root, batch_id, start_date=start_date).batch
    if not yes:
        rows = f"{batch.counts.landed:,} rows" if batch.counts else "its rows"
        typer.confirm(
            f"Withdraw {rows} of {batch.kind} of {batch.tenant} from {batch.source}?", abort=True
        )
    done = retract_batch(root, batch_id, start_date=start_date)
    typer.echo(f"Retracted {batch_id}: {done.rows:,} rows withdrawn.")
    if done.days:
        first, last = done.days[0], done.days[-1]
        typer.echo(f"Stale now: {_days(done.days)}, and what later days have taken from them.")
        typer.echo(f"Rebuild: recsys run --from {first} --to {last} --tenant {batch.tenant}")


def _print_json(value: BatchStatus | list[BatchStatus]) -> None:
    from pydantic import TypeAdapter

    from recsys_pipeline.ingestion.batches import BatchStatus

    one_or_many = TypeAdapter(BatchStatus | list[BatchStatus])
    typer.echo(one_or_many.dump_json(value, indent=2).decode())


def _facts(status: BatchStatus) -> list[tuple[str, str]]:
    batch, counts = status.batch, status.batch.counts
    facts = [
        ("Batch", batch.batch_id),
        ("State", status.state),
        ("Tenant", batch.tenant),
        ("Kind", batch.kind),
        ("Source", batch.source),
        ("Mapping", batch.mapping or "none"),
        ("Received (UTC)", f"{batch.received_at:%Y-%m-%d %H:%M:%S}"),
        ("Replaces", batch.replaces or "nothing"),
        ("Key", batch.key),
    ]
    if counts is not None:
        facts += [
            ("Rows read", f"{counts.read:,}"),
            ("Rows landed", f"{counts.landed:,}"),
            ("Parked (day unknown)", f"{counts.parked:,}"),
            ("Before the start date", f"{counts.before_start:,}"),
            ("Days", _span(batch)),
            *((f"Unreadable: {code}", f"{rows:,}") for code, rows in counts.unreadable.items()),
        ]
    return facts


def _span(batch: Batch) -> str:
    counts = batch.counts
    if counts is None or not counts.days:
        return "-"
    if counts.days == 1:
        return f"{counts.first_day}"
    return f"{counts.days:,}: {counts.first_day} to {counts.last_day}"


def _days(days: tuple[date, ...]) -> str:
    named = ", ".join(str(day) for day in days[:DAYS_SHOWN])
    more = len(days) - DAYS_SHOWN
    return f"{named} and {more:,} more days" if more > 0 else named
