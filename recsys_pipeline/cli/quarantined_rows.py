"""Options by which `recsys quarantine show` and `replay` choose rows."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Kind = Annotated[Literal["interactions", "items"], typer.Option(help="Events or catalogue items.")]
Tenant = Annotated[str, typer.Option(metavar="NAME", help="Whose rows; or `unassigned`.")]
Day = Annotated[
    str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Only this day (UTC).")
]
First = Annotated[
    str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="Only from this day on.")
]
Last = Annotated[
    str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Only up to this day.")
]
Batch = Annotated[str | None, typer.Option(metavar="ID", help="Only of this batch.")]
