"""Row rules as Polars expressions, derived from a Pandera model.

The model is the one source of a contract. The validation split and the error reports use the
expressions made here; the asset check runs the model itself. A property test keeps both equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandera.polars as pa

_Statistics = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One row rule of a contract.

    Attributes:
        code: `column.check`, the reason that a quarantined row carries.
        column: The column that it reads.
        words: The rule in words.
        obeyed: Boolean expression, never null: true where the row obeys.
    """

    code: str
    column: str
    words: str
    obeyed: pl.Expr


def _in_range(column: pl.Expr, s: _Statistics) -> pl.Expr:
    low: pl.Expr = column >= s["min_value"] if s["include_min"] else column > s["min_value"]
    high: pl.Expr = column <= s["max_value"] if s["include_max"] else column < s["max_value"]
    return low & high


def _length(column: pl.Expr, s: _Statistics) -> pl.Expr:
    return column.str.len_chars().is_between(s["min_value"] or 0, s["max_value"])


_CHECKS: dict[str, tuple[str, str, Callable[[pl.Expr, _Statistics], pl.Expr]]] = {
    "isin": ("allowed", "one of {allowed_values}", lambda c, s: c.is_in(list(s["allowed_values"]))),
    "in_range": ("range", "from {min_value} to {max_value}", _in_range),
    "greater_than_or_equal_to": (
        "minimum",
        "at least {min_value}",
        lambda c, s: c >= s["min_value"],
    ),
    "less_than_or_equal_to": ("maximum", "at most {max_value}", lambda c, s: c <= s["max_value"]),
    "str_length": ("length", "{min_value} to {max_value} characters", _length),
    "str_matches": ("form", "matches `{pattern}`", lambda c, s: c.str.contains(s["pattern"])),
}


@cache
def rules(model: type[pa.DataFrameModel]) -> tuple[Rule, ...]:
    """Derive the row rules of a model: one per non-nullable column, one per check.

    Raises:
        KeyError: The model uses a Pandera check that has no expression here.
    """
    found: list[Rule] = []
    for name, column in model.to_schema().columns.items():
        value = pl.col(name)
        if not column.nullable:
            found.append(Rule(f"{name}.required", name, "must be present", value.is_not_null()))
        for check in column.checks:
            suffix, words, expression = _CHECKS[check.name]
            told = {
                key: ", ".join(map(str, given))
                if isinstance(given, list) and suffix == "allowed"
                else given
                for key, given in check.statistics.items()
            }
            obeyed = expression(value, check.statistics)
            found.append(
                Rule(
                    f"{name}.{suffix}",
                    name,
                    ("" if suffix == "form" else "must be ") + words.format(**told),
                    # a null is the business of the `required` rule alone
                    obeyed.fill_null(True),  # noqa: FBT003  # polars' own signature
                )
            )
    return tuple(found)


def empty_frame(model: type[pa.DataFrameModel]) -> pl.DataFrame:
    """Return a frame of the model's columns and dtypes without rows."""
    return pl.DataFrame(schema=frame_schema(model))


def frame_schema(model: type[pa.DataFrameModel]) -> pl.Schema:
    """Return the model's columns as a Polars schema, in the order of storage."""
    return pl.Schema(
        {name: column.dtype.type for name, column in model.to_schema().columns.items()}
    )
