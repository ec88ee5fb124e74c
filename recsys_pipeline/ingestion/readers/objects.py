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
from recsys_pipeline.ingestion.readers.flat_objects import flat_objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# a file whose keys are data would make a column for each
MAX_CELLS = 20_000_000
_DEPTH = 200
_LONG_NUMBER = re.compile(rb"[0-9]{17}")


def object_blocks(
    texts: Sequence[bytes], positions: Sequence[int], consumed: int
) -> Iterator[Block]:
    """Parse texts that should each be one JSON object.

    A text that is none (NaN included, which is no JSON), or is nested deeper than about 250
    levels, is unreadable. Numbers, booleans and nested values become their JSON text, strings
    stay as they are, null is absent.

    Args:
        texts: One per row.
        positions: 1-based line or element number of each.
        consumed: See `Block`.

    Yields:
        One block or several, between them one row per text.
    """
    flat = flat_objects(texts)
    if flat is not None:
        rows, whole = flat
        if whole.any():
            yield _flat_block(
                rows.filter(whole), positions_series(positions).filter(whole), consumed
            )
        left = (~whole).arg_true().to_list()
        if not left:
            return
        texts, positions = [texts[i] for i in left], [positions[i] for i in left]
    yield from _any_objects(texts, positions, consumed)


def _flat_block(rows: pl.DataFrame, positions: pl.Series, consumed: int) -> Block:
    absent = [column.name for column in rows if column.null_count() == len(column)]
    nothing = unreadable_frame([])
    return Block(rows.drop(absent), positions, nothing, complete=False, consumed=consumed)


def _any_objects(
    texts: Sequence[bytes], positions: Sequence[int], consumed: int
) -> Iterator[Block]:
    rows = _parsed(texts)
    names = dict.fromkeys(chain.from_iterable(filter(None, rows)))
    if len(names) * len(rows) > MAX_CELLS and len(rows) > 1:
        half = len(rows) // 2
        yield from _any_objects(texts[:half], positions[:half], consumed)
        yield from _any_objects(texts[half:], positions[half:], consumed)
        return
    bad = [i for i, row in enumerate(rows) if row is None]
    unreadable = unreadable_frame([(positions[i], texts[i]) for i in bad])
    if bad:
        good = [i for i, row in enumerate(rows) if row is not None]
        positions = [positions[i] for i in good]
        texts = [texts[i] for i in good]
    readable = [row for row in rows if row is not None]
    columns = _columns(readable, names)
    rounded = _rounded(columns, texts)
    if rounded:
        for i in rounded:
            readable[i] = _exact(texts[i])
        columns = _columns(readable, names)
    series = {name: _column(values) for name, values in columns.items()}
    frame = pl.DataFrame(series) if series else pl.DataFrame(height=len(readable))
    yield Block(frame, positions_series(positions), unreadable, complete=False, consumed=consumed)


def _parsed(texts: Sequence[bytes]) -> list[dict[str, Any] | None]:
    try:
        # the common case: one call a row, no Python of ours
        rows = list(map(orjson.loads, texts))
    except orjson.JSONDecodeError:
        rows = [_value(text) for text in texts]
    if not set(map(type, rows)) <= {dict}:
        rows = [row if isinstance(row, dict) else None for row in rows]
    if _opened(b"".join(texts)) - len(texts) < _DEPTH:
        return rows
    return [
        row if row is None or _shallow(text, row) else None
        for text, row in zip(texts, rows, strict=True)
    ]


def _opened(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _columns(rows: list[dict[str, Any]], names: Iterable[str]) -> dict[str, list[Any]]:
    if len(set(map(tuple, rows))) == 1:
        return {name: list(map(itemgetter(name), rows)) for name in names}
    return {name: [row.get(name) for row in rows] for name in names}


def _rounded(columns: dict[str, list[Any]], texts: Sequence[bytes]) -> set[int]:
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


def _exact(text: bytes) -> dict[str, Any]:
    return dict(json.loads(text, parse_int=_Literal, parse_float=_Literal))


def _value(text: bytes) -> Any:  # noqa: ANN401  # any JSON value
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _shallow(text: bytes, row: dict[str, Any]) -> bool:
    if _opened(text) < _DEPTH:
        return True
    try:
        orjson.dumps(row)
    except TypeError:  # orjson writes no more than 254 levels, and Python's recursion ends at 1000
        return False
    return True


def _column(values: Sequence[Any]) -> pl.Series:
    types = set(map(type, values)) - {type(None)}
    if types <= {str}:
        return pl.Series(values, dtype=pl.String)
    if float not in types:
        return pl.Series([_text(v) for v in values], dtype=pl.String)
    # a number's text must not depend on what else is in its column
    reals = [v if type(v) is float else None for v in values]
    numbers = pl.Series("numbers", reals, dtype=pl.Float64).cast(pl.String)
    if types == {float}:
        return numbers
    others = [None if type(v) is float else _text(v) for v in values]
    texts = pl.DataFrame([numbers, pl.Series("others", others, dtype=pl.String)])
    return texts.select(pl.coalesce("numbers", "others")).to_series()


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
