"""The results as one picture: seconds of ours and of each peer, a group per subject and size."""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path

CHART = Path(__file__).parent / "results.svg"
WIDTH, LABEL, ROW, GAP = 760, 210, 18, 34
OURS, PEER, TEXT = "#2f6fdb", "#b9c2cf", "#333"


def draw(rows: list[dict[str, object]]) -> None:
    """Write the picture. Bars of a group are to one scale, which differs from group to group."""
    shapes: list[str] = []
    y = 24

    def text(x: float, words: str, weight: str = "normal") -> None:
        shapes.append(
            f'<text x="{x:.0f}" y="{y + 13}" font-weight="{weight}" fill="{TEXT}">{escape(words)}</text>'
        )

    for name, group in groupby(rows, key=lambda row: str(row["metric"]).partition(":")[0]):
        bars = dict.fromkeys(["ours"], 0.0)
        for row in group:
            bars["ours"] = max(bars["ours"], _number(row["ours"]))
            peer = str(row["metric"]).rpartition(" ")[2].rpartition(".")[2]
            bars[peer] = _number(row["peer"])
        text(8, name, "bold")
        y += ROW + 2
        longest = max(bars.values())
        for label, seconds in sorted(bars.items(), key=lambda bar: bar[1]):
            width = max((WIDTH - LABEL - 90) * seconds / longest, 1)
            colour = OURS if label == "ours" else PEER
            text(20, label.replace("_", " "))
            shapes.append(
                f'<rect x="{LABEL}" y="{y + 2}" width="{width:.1f}" height="13" fill="{colour}"/>'
            )
            text(LABEL + width + 6, f"{seconds:.2f} s")
            y += ROW
        y += GAP - ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'font-family="system-ui, sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{y}" fill="white"/>'
    )
    CHART.write_text(head + "\n".join(shapes) + "</svg>\n")


def _number(value: object) -> float:
    return float(str(value))
