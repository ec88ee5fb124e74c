"""`recsys run`: the pipeline for a window of days, in this process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from recsys_pipeline.cli.console import err, out, print_json, table
from recsys_pipeline.cli.days import day_of
from recsys_pipeline.errors import SettingsError


def run(
    first: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="YYYY-MM-DD", help="First day (UTC); default: the start date."
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="YYYY-MM-DD", help="Last day (UTC); default: today."),
    ] = None,
    tenant: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this tenant; may be given more than once."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make everything anew, even what is current.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the runs as JSON.")] = False,
) -> None:
    """Run landed events through to training samples, for the days that need it.

    A day needs a run when its inputs have changed since it was published, or were never
    published. The runs show in the Dagster UI.

    Example: `recsys run --from 2025-01-01 --to 2025-01-31 --tenant acme`
    """
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    from recsys_pipeline.partitions import BRIDGE_DAYS, contiguous
    from recsys_pipeline.runs import dagster_instance, days_to_run, run_range, step_count
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.tenants import tenant_config

    settings = get_settings()
    tenants = sorted({tenant_config(settings, name).name for name in tenant or []})
    start = day_of(first, "--from") or settings.start_date
    today = datetime.now(UTC).date()
    # days to come have no partition yet
    end = min(day_of(last, "--to") or today, today)
    if start < settings.start_date:
        raise SettingsError(
            "--from",
            f"{start} is before the start date {settings.start_date}",
            f"Set RECSYS_START_DATE={start} or choose a later day",
        )
    if end < start:
        raise SettingsError("--to", f"{end} is before {start}", "Swap the two")
    with dagster_instance() as instance:
        days = days_to_run(start, end, tenants, force=force)
        if not days:
            out.print(f"Nothing to do: every day from {start} to {end} is current.")
            return
        ranges = contiguous(days, BRIDGE_DAYS)
        finished = []
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TimeElapsedColumn(),
            console=err,
            transient=True,
        ) as progress:
            for begin, until in ranges:
                span = f"{begin}" if begin == until else f"{begin} to {until}"
                task = progress.add_task(span, total=step_count())

                def report(step: str, done: int, *, task: TaskID = task, span: str = span) -> None:
                    progress.update(task, completed=done, description=f"{span}  {step}")

                finished.append(
                    run_range(instance, begin, until, tenants, force=force, report=report)
                )
                progress.remove_task(task)
    if json:
        print_json([vars(run_) for run_ in finished])
        return
    out.print(
        table(
            "Dagster runs",
            ("run", "from", "to", "seconds", "checks failed"),
            [
                (
                    run_.run_id[:8],
                    str(run_.first),
                    str(run_.last),
                    round(sum(run_.seconds.values()), 1),
                    len(run_.failed_checks),
                )
                for run_ in finished
            ],
        )
    )
    for run_ in finished:
        for asset, check, words in run_.failed_checks:
            out.print(f"[yellow]![/yellow] {asset} · {check}: {words}")
