"""`recsys quarantine`: look at what was rejected, and let a held day by.

`replay` is in a file of its own.
"""

from __future__ import annotations

import getpass
import os
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import typer

from recsys_pipeline.cli.console import out, print_json, table
from recsys_pipeline.cli.quarantine_replay import replay
from recsys_pipeline.cli.quarantine_show import show
from recsys_pipeline.errors import LandingError

app = typer.Typer(
    help="Look at rejected rows, replay them, and accept a held day.", no_args_is_help=True
)
app.command()(show)
app.command()(replay)

Kind = Literal["interactions", "items"]


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only this tenant.")] = None,
    kind: Annotated[Kind, typer.Option(help="Events or catalogue items.")] = "interactions",
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Count quarantined rows by tenant and reason.

    Example: `recsys quarantine list --tenant acme`
    """
    from recsys_pipeline.engines.view import QUARANTINED
    from recsys_pipeline.resources.pipeline import open_view
    from recsys_pipeline.tenants import check_name

    view = open_view(None, [check_name(tenant)] if tenant else None)
    asset = QUARANTINED[kind]
    counts: dict[tuple[str, str], tuple[int, set[date]]] = {}
    for day in view.published_days(asset):
        for name, record in view.records(asset, day).items():
            if tenant not in (None, name):
                continue
            for reason, rows in record.counts.get("reasons", {}).items():
                total, days = counts.get((name, reason), (0, set()))
                counts[name, reason] = (total + rows, days | {day})
    found = [(name, reason, rows, len(days)) for (name, reason), (rows, days) in counts.items()]
    found.sort(key=lambda row: (row[0], -row[2], row[1]))
    if json:
        print_json(
            [dict(zip(("tenant", "reason", "rows", "days"), row, strict=True)) for row in found]
        )
    elif found:
        out.print(table(asset, ("tenant", "reason", "rows", "days"), found))
    else:
        out.print("The quarantine is empty.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"uid {os.getuid()}"


@app.command()
def accept(
    tenant: Annotated[str, typer.Option(metavar="NAME", help="Tenant of the held day.")],
    day: Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="The held day (UTC).")],
    kind: Annotated[Kind, typer.Option(help="Events or catalogue items.")] = "interactions",
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; kept with the acceptance.")
    ] = "",
    run: Annotated[bool, typer.Option(help="Recompute what follows at once.")] = True,
) -> None:
    """Let a held day by: publish its valid rows, although many were rejected.

    The acceptance covers the share of rejected rows that the day has now; worse rows that
    arrive later hold it again.

    Example: `recsys quarantine accept --tenant acme --date 2025-01-31`
    """
    from recsys_pipeline.cli.run import run as run_pipeline
    from recsys_pipeline.engines.acceptance import Acceptance
    from recsys_pipeline.engines.acceptance import accept as store
    from recsys_pipeline.engines.view import VALIDATED
    from recsys_pipeline.resources.pipeline import open_view
    from recsys_pipeline.tenants import check_name
    from recsys_pipeline.transforms.validation import share_counts

    try:
        wanted = date.fromisoformat(day)
    except ValueError:
        raise LandingError("--date", f"{day!r} is not a date", "Write it as 2025-01-31") from None
    view = open_view(None, [check_name(tenant)])
    partition = (wanted, tenant)
    counts = (
        view.split(kind, [partition]).counts.row(0, named=True)
        if partition in view.landed(kind)
        else None
    )
    if counts is None or not view.is_held(kind, partition, counts):
        raise LandingError(
            f"{VALIDATED[kind]} {wanted} {tenant}", "is not held", "See `recsys status`"
        )
    rejected, rows = share_counts(counts)
    share = rejected / rows
    store(
        view.store.objects,
        Acceptance(
            VALIDATED[kind],
            wanted.isoformat(),
            tenant,
            share,
            _user(),
            datetime.now(UTC).isoformat(timespec="seconds"),
            reason,
        ),
    )
    out.print(f"Accepted {wanted} of {tenant} with {share:.1%} of its rows rejected.")
    if run:
        run_pipeline(wanted.isoformat(), None, [tenant], False, False)
