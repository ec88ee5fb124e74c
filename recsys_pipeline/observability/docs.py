"""Writes the table of measures into docs/observability.md; run by `make docs`."""

from __future__ import annotations

from pathlib import Path

from recsys_pipeline.observability.families import FAMILIES

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
BEGIN, END = "<!-- measures, written by `make docs` -->\n", "<!-- end of measures -->\n"


def measures_table() -> str:
    """Return the table of the exporter's measures."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.help} |" for one in FAMILIES
    ]
    return "\n".join(["| measure | kind | labels | meaning |", "|---|---|---|---|", *rows]) + "\n"


def with_table(page: str) -> str:
    """Return a page with the table of today between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{measures_table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
