"""The contracts as a Markdown page, generated from the schemas: `docs/contracts.md`.

Run `python -m recsys_pipeline.schemas.docs` after changing a contract; a test compares both.
"""

from __future__ import annotations

from pathlib import Path

from recsys_pipeline.schemas.landing import PROBLEM_WORDS
from recsys_pipeline.schemas.releases import ADDED
from recsys_pipeline.schemas.rules import rules
from recsys_pipeline.schemas.tables import CONTRACTS

PAGE = Path(__file__).parents[2] / "docs" / "contracts.md"

_HEAD = """# Contracts

Generated from `recsys_pipeline/schemas/` by `python -m recsys_pipeline.schemas.docs`.

Each stored table has one contract. It splits valid rows from quarantine, it is the asset check
`contract`, and it is the column table that Dagster shows. Timestamps are UTC microseconds;
`date` and `tenant` are hive levels in the path, not columns inside the files.
"""


def contracts_page() -> str:
    """Return the page: a table of columns per stored table, and what the reader can report."""
    parts = [_HEAD]
    for asset, model in CONTRACTS.items():
        words: dict[str, list[str]] = {}
        for rule in rules(model):
            if not rule.code.endswith(".required"):
                words.setdefault(rule.column, []).append(_escaped(rule.words))
        lines = [
            f"## {asset}",
            "",
            (model.__doc__ or "").strip().splitlines()[0],
            "",
            "| column | type | null | rule | meaning |",
            "|---|---|---|---|---|",
        ]
        for name, column in model.to_schema().columns.items():
            null = "yes" if column.nullable else "no"
            told = "; ".join(words.get(name, []))
            meaning = _escaped(column.description or "")
            lines.append(f"| `{name}` | {_type(column.dtype.type)} | {null} | {told} | {meaning} |")
        parts.append("\n".join(lines) + "\n")
    released = [
        "## training_dataset",
        "",
        "The shards of a release have the columns of `training_samples` without `date` and `tenant`, and:",
        "",
        "| column | type | null | meaning |",
        "|---|---|---|---|",
        *(f"| `{name}` | {dtype} | no | {meaning} |" for name, (dtype, meaning) in ADDED.items()),
    ]
    parts.append("\n".join(released) + "\n")
    reader = ["## What a reader reports in `problem`", "", "| code | rule |", "|---|---|"]
    reader += [f"| `{code}` | {words} |" for code, words in PROBLEM_WORDS.items()]
    parts.append("\n".join(reader) + "\n")
    return "\n".join(parts)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _type(dtype: object) -> str:
    text = str(dtype)
    return "timestamp (us, UTC)" if text.startswith("Datetime") else text


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(contracts_page(), encoding="utf-8")
