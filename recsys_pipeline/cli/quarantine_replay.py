"""`recsys quarantine replay`: read quarantined rows anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recsys_pipeline.cli.console import out, print_json, table
from recsys_pipeline.cli.days import window
from recsys_pipeline.cli.quarantined_rows import (  # noqa: TC001  # typer reads them
    Batch,
    Day,
    First,
    Kind,
    Last,
    Tenant,
)

if TYPE_CHECKING:
    from datetime import date

    from recsys_pipeline.ingestion.replay import Replayed, Selection


def replay(  # noqa: PLR0917  # each is an option
    tenant: Tenant,
    day: Day = None,
    first: First = None,
    last: Last = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Only rows with this first reason (see `list`)."),
    ] = None,
    batch: Batch = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Mapping to read them with; default: the one that the batch landed under, else "
            "the tenant's.",
        ),
    ] = None,
    kind: Kind = "interactions",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of them.")
    ] = False,
    run: Annotated[bool, typer.Option("--run", help="Make the days that it touched.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Read quarantined rows anew after a mapping was mended, and land those that are well.

    A row that is still bad stays as it is. A mended contract needs no replay: the days that it
    concerns are stale, and `recsys run` judges their rows anew; this command names them.

    Example: `recsys quarantine replay --tenant acme --mapping mended.toml --dry-run`
    """
    from recsys_pipeline.cli.run import run as run_pipeline
    from recsys_pipeline.ingestion.replay import Selection
    from recsys_pipeline.ingestion.replay import replay as read_anew
    from recsys_pipeline.settings import get_settings

    start, end = window(day, first, last)
    selection = Selection(kind, tenant, start, end, reason, batch)
    done = read_anew(get_settings(), selection, mapping, dry_run=dry_run)
    tenants = sorted({tenant} | {name for _, name in done.partitions})
    stale = [] if dry_run else _stale(selection, done, tenants)
    command = [f"--from {stale[0]}", *(f"--tenant {name}" for name in tenants)] if stale else []
    if json:
        print_json(
            {
                "repaired": dict(sorted(done.repaired.items())),
                "left": dict(sorted(done.left.items())),
                "moved": done.moved,
                "sealed": done.sealed,
                "partitions": [[str(d), name] for d, name in sorted(done.partitions)],
                "mappings": done.mappings,
                "stale": [str(d) for d in stale],
            }
        )
    else:
        _tell(selection, done, dry_run=dry_run)
        if stale:
            span = f"{stale[0]}" if len(stale) == 1 else f"{stale[0]} to {stale[-1]}"
            out.print(
                f"{len(stale):,} days are stale ({span})"
                + ("." if run else f". Run: recsys run {' '.join(command)}"),
                soft_wrap=True,
            )
    if run and stale:
        run_pipeline(stale[0].isoformat(), None, tenants, False, False)


def _stale(selection: Selection, done: Replayed, tenants: list[str]) -> list[date]:
    """Return the days, in order, whose validated rows or quarantine are to be made anew."""
    from recsys_pipeline.engines.pending import standings
    from recsys_pipeline.engines.view import QUARANTINED, VALIDATED
    from recsys_pipeline.resources.pipeline import open_view

    assets = (VALIDATED[selection.kind], QUARANTINED[selection.kind])
    touched = {day for day, _ in done.partitions}

    def wanted(day: date) -> bool:
        return (selection.first is None or day >= selection.first) and (
            selection.last is None or day <= selection.last
        )

    return sorted(
        {
            one.day
            for one in standings(open_view(None, tenants))
            if one.asset in assets
            and one.state in {"stale", "missing"}
            and one.tenant in tenants
            and (wanted(one.day) or one.day in touched)
        }
    )


def _tell(selection: Selection, done: Replayed, *, dry_run: bool) -> None:
    from recsys_pipeline.schemas.landing import LINE_READABLE, TENANT_AGREES, USER_ERASED

    reasons = sorted(done.repaired.keys() | done.left.keys())
    if not reasons:
        out.print("No such row is in quarantine.")
        return
    rows = [(name, done.repaired[name], done.left[name]) for name in reasons]
    out.print(table("", ("reason", "would be repaired" if dry_run else "repaired", "left"), rows))
    if done.mappings:
        out.print(f"Read with: {', '.join(done.mappings)}.", soft_wrap=True)
    if done.moved:
        belong = "would be" if dry_run else "are now"
        out.print(f"{done.moved:,} of the repaired rows {belong} of another day or tenant.")
    if done.sealed:
        out.print(
            f"{done.sealed:,} rows are of days that retention has sealed: they are refused, because "
            "there they would count nowhere."
        )
    if done.left[LINE_READABLE]:
        out.print(
            f"{done.left[LINE_READABLE]:,} lines could not be read at all, so none of their fields is "
            f"kept. Mend the file, then: recsys ingest {selection.kind} FILE --tenant "
            f"{selection.tenant} --replace BATCH",
            soft_wrap=True,
        )
    if done.left[USER_ERASED]:
        out.print(f"{done.left[USER_ERASED]:,} rows are of erased users and stay empty.")
    if done.left[TENANT_AGREES]:
        out.print(
            f"{done.left[TENANT_AGREES]:,} messages named two tenants; their sender has to send them "
            "again."
        )
