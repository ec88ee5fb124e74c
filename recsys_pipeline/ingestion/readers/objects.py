"""JSON objects as rows of a block."""

from __future__ import annotations

import json
import re
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from recsys_pipeline.ingestion.readers.block import Block, positions_series, unreadable_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONG_NUMBER = re.compile(rb"[0-9]{17}")


def objects_block(texts: Sequence[bytes], positions: Sequence[int], consumed: int) -> Block:
    """Parse texts that should each be one JSON object.

    A text that is none (NaN included, which is no JSON) is unreadable. Numbers, booleans and
    nested values become their JSON text, strings stay as they are, null is absent.

    Args:
        texts: One per row.
        positions: 1-based line or element number of each.
        consumed: See `Block`.
    """
    try:
        # the common case: one call a row, no Python of ours
        rows: list[Any] = list(map(orjson.loads, texts))
        all_objects = set(map(type, rows)) <= {dict}
        bad = [] if all_objects else [i for i, r in enumerate(rows) if type(r) is not dict]
    except orjson.JSONDecodeError:
        rows = [_object(text) for text in texts]
        bad = [i for i, row in enumerate(rows) if row is None]
    unreadable = unreadable_frame([(positions[i], texts[i]) for i in bad])
    if bad:
        skip = set(bad)
        good = [i for i in range(len(rows)) if i not in skip]
        rows = [rows[i] for i in good]
        positions = [positions[i] for i in good]
        texts = [texts[i] for i in good]
    columns = _columns(rows)
    rounded = _rounded(columns, texts)
    if rounded:
        for i in rounded:
            rows[i] = _exact(texts[i], rows[i])
        columns = _columns(rows)
    series = {name: _column(values) for name, values in columns.items()}
    frame = pl.DataFrame(series) if series else pl.DataFrame(height=len(rows))
    return Block(frame, positions_series(positions), unreadable, complete=False, consumed=consumed)


def _columns(rows: list[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    shapes = set(map(tuple, rows))
    if len(shapes) == 1:
        return {name: list(map(itemgetter(name), rows)) for name in shapes.pop()}
    names = dict.fromkeys(chain.from_iterable(rows))
    return {name: [row.get(name) for row in rows] for name in names}


def _rounded(columns: dict[str, Sequence[Any]], texts: Sequence[bytes]) -> set[int]:
    """Return the rows in which an integer was too long for orjson, which reads it as a float."""
    found: set[int] = set()
    for values in columns.values():
        types = set(map(type, values))
        if float in types:
            reals = [v if type(v) is float else None for v in values]
            large = pl.Series(reals, dtype=pl.Float64).abs() >= 2**53
            found.update(large.arg_true())
        if types & {dict, list}:
            nested = (i for i, v in enumerate(values) if isinstance(v, dict | list))
            found.update(i for i in nested if _LONG_NUMBER.search(texts[i]))
    return found


class _Literal(str):
    """A number's text as it stood in the file."""

    __slots__ = ()


def _exact(text: bytes, rounded: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(text, parse_int=_Literal, parse_float=_Literal))
    except RecursionError:
        return rounded


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _column(values: Sequence[Any]) -> pl.Series:
    types = set(map(type, values)) - {type(None)}
    if types <= {str}:
        return pl.Series(values, dtype=pl.String)
    if types == {float}:
        return pl.Series(values, dtype=pl.Float64).cast(pl.String)
    return pl.Series([_text(v) for v in values], dtype=pl.String)


def _text(value: Any) -> str | None:  # noqa: ANN401  # any JSON value
    if value is None or type(value) is str:
        return value
    if isinstance(value, dict | list):
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plain(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return a nested value with the numbers that were kept as text back as numbers."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, _Literal):
        return int(value) if re.fullmatch(r"-?\d{1,4000}", value) else float(value)
    return value
