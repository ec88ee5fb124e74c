"""`recsys retention`: delete what has been kept long enough; shows it first."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from recsys_pipeline.cli.console import err, out, print_json, table


def retention(
    apply: Annotated[
        bool, typer.Option("--apply", help="Delete; without it nothing is changed.")
    ] = False,
    tenant: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this tenant; may be repeated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what is older than RECSYS_RETENTION says, by tenant and layer; with --apply delete it.

    Of events that go, the state that later days build on stays. A tenant with a stale, missing or held day
    among them is left as it is.

    Example: `recsys retention --apply`
    """
    from rich.markup import escape

    from recsys_pipeline.maintenance.retention import Retention
    from recsys_pipeline.resources.pipeline import open_store_of_settings
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.storage.parquet_store import ParquetStore
    from recsys_pipeline.tenants import check_name

    today = datetime.now(UTC).date()
    names = [check_name(name) for name in tenant] if tenant else None
    work = Retention(get_settings(), ParquetStore(open_store_of_settings()), today, names)
    steps = list(work.apply() if apply else work.plan())
    if json:
        print_json([asdict(step) for step in steps])
        return
    found = [step for step in steps if step.state != "nothing"]
    if found:
        columns = ("tenant", "layer", "kept from", "days", "rows", "MB", "")
        rows = [
            (s.tenant, s.layer, s.kept_from or "", s.count, s.rows, f"{s.bytes / 1e6:.1f}", s.state)
            for s in found
        ]
        out.print(table("", columns, rows))
    for step in found:
        if step.reason:
            err.print(
                f"[yellow]note:[/yellow] {step.layer} of {step.tenant} stay: {escape(step.reason)}",
                soft_wrap=True,
            )
    if not steps:
        out.print("Everything is kept: RECSYS_RETENTION names nothing.")
    elif not found:
        out.print("Nothing is old enough to go.")
    elif not apply and any(step.state == "due" for step in found):
        out.print("Nothing was changed. Delete it: recsys retention --apply")
