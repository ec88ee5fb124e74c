"""JSON objects as rows of a block."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from recsys_pipeline.ingestion.readers.block import Block, positions_series, unreadable_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

# orjson reads an integer of more than 64 bits as a float, which would change an id
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
        bad = [i for i, row in enumerate(rows) if type(row) is not dict]
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
    for i, text in enumerate(texts):
        if _LONG_NUMBER.search(text):
            rows[i] = _exact(text, rows[i])
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    frame = pl.DataFrame(columns) if columns else pl.DataFrame(height=len(rows))
    return Block(frame, positions_series(positions), unreadable, complete=False, consumed=consumed)


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


def _column(values: list[Any]) -> pl.Series:
    types = set(map(type, values)) - {type(None)}
    if types <= {str}:
        return pl.Series(values, dtype=pl.String)
    if types == {int}:
        return pl.Series([None if v is None else str(v) for v in values], dtype=pl.String)
    return pl.Series([_text(v) for v in values], dtype=pl.String)


def _text(value: Any) -> str | None:  # noqa: ANN401  # any JSON value
    if value is None or type(value) is str:
        return value
    if isinstance(value, _Literal):
        return str(value)
    if isinstance(value, dict | list):
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    return orjson.dumps(value).decode()


def _plain(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return a nested value with the numbers that were kept as text back as numbers."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, _Literal):
        return int(value) if re.fullmatch(r"-?\d{1,4000}", value) else float(value)
    return value
