"""What the commands share: consoles and tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Return a Rich table; columns of numbers are right-aligned with thousands separators."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for index, name in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) or row[index] == "" for row in rows)
        made.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        made.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in row))
    return made


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    out.print_json(json.dumps(value, default=str))
