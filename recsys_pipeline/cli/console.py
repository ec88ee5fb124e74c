"""What the commands share: consoles and tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    whole: Collection[str] = (),
) -> Table:
    """Return a Rich table.

    Columns of numbers are right-aligned with thousands separators. Where the terminal is narrow,
    words are broken over lines, not cut.

    Args:
        title: Its title; none when empty.
        columns: Names of the columns.
        rows: Values by row.
        whole: Columns whose values stay on one line.
    """
    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for index, name in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) or row[index] == "" for row in rows)
        made.add_column(
            name,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric or name in whole,
        )
    for row in rows:
        made.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in row))
    return made


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    out.print_json(json.dumps(value, default=str))
