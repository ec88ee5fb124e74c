"""`recsys quarantine show`: quarantined rows as they landed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
    from collections.abc import Iterator

    from recsys_pipeline.engines.view import View

_TOLD = ("date", "batch_id", "position", "source", "received_at", "outcome", "reasons", "raw")


def show(  # noqa: PLR0917  # each is an option
    tenant: Tenant,
    day: Day = None,
    first: First = None,
    last: Last = None,
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="Only rows with this reason.")
    ] = None,
    batch: Batch = None,
    kind: Kind = "interactions",
    limit: Annotated[int, typer.Option(min=1, help="Rows to show at most.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show quarantined rows: where they come from, why they are here, and what they say.

    They are judged anew by today's contract, so a row that a mended contract accepts is not shown.

    Example: `recsys quarantine show --tenant acme --reason rating.range`
    """
    from itertools import islice

    from recsys_pipeline.resources.pipeline import open_view
    from recsys_pipeline.tenants import check_name

    start, end = window(day, first, last)
    view = open_view(None, [check_name(tenant)])
    days = [
        p
        for p in view.landed(kind)
        if (start is None or p[0] >= start) and (end is None or p[0] <= end)
    ]
    found = list(islice(_rows(view, kind, days, reason, batch), limit + 1))
    shown = found[:limit]
    if json:
        print_json(shown)
        return
    if not shown:
        out.print("No such row is in quarantine.")
        return
    columns = ("date", "batch", "position", "reasons", "row")
    lines = [
        (row["date"], row["batch_id"], row["position"], row["reasons"], _said(row)) for row in shown
    ]
    out.print(table("", columns, lines, whole=("date", "batch")))
    if len(found) > limit:
        out.print(
            f"There are more than these {limit:,}: see --limit, --date, --reason and --batch."
        )


def _rows(
    view: View,
    kind: Kind,
    days: list[Any],
    reason: str | None,
    batch: str | None,
) -> Iterator[dict[str, Any]]:
    from recsys_pipeline.engines.view import CONTRACTS
    from recsys_pipeline.schemas.rules import frame_schema

    fields = [name for name in frame_schema(CONTRACTS[kind]) if name not in ("date", "tenant")]
    for group in view.groups(kind, days):
        for row in view.split(kind, group).quarantined.iter_rows(named=True):
            if batch not in (None, row["batch_id"]):
                continue
            if reason is None or reason in row["reasons"].split(";"):
                told = {name: row[name] for name in _TOLD}
                yield told | {"fields": {n: row[n] for n in fields if row[n] is not None}}


def _said(row: dict[str, Any]) -> str:
    from rich.markup import escape

    if row["raw"] is not None:
        return escape(str(row["raw"]))
    return escape(", ".join(f"{name}={value}" for name, value in row["fields"].items()))
