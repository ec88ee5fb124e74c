"""Rows as JSON objects, for the columns that no contract names."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl


def json_objects(columns: pl.DataFrame) -> pl.Series:
    """Return each row's fields that are not null as a JSON object; null where there are none.

    Args:
        columns: String columns.
    """
    if not columns.width:
        return pl.Series([None], dtype=pl.String).new_from_index(0, columns.height)
    # names of a file may mean something in pl.col, as `*` does
    plain = columns.rename({name: f"c{i}" for i, name in enumerate(columns.columns)})
    members = [
        pl.when(pl.col(key).is_not_null()).then(
            pl.lit(orjson.dumps(name).decode() + ":")
            + pl.struct(pl.col(key).alias("v"))
            .struct.json_encode()
            .str.strip_prefix('{"v":')
            .str.strip_suffix("}")
        )
        for key, name in zip(plain.columns, columns.columns, strict=True)
    ]
    text = pl.lit("{") + pl.concat_str(members, separator=",", ignore_nulls=True) + pl.lit("}")
    filled = pl.any_horizontal(pl.all().is_not_null())
    return plain.select(pl.when(filled).then(text).alias("object")).to_series()


def merged(own: pl.Series, name: str, others: pl.Series) -> pl.Series:
    """Merge a column that may hold JSON objects with objects of further columns.

    Args:
        own: Texts; one that is a JSON object keeps its members, any other becomes the member
            `name`.
        name: Name for texts that are no object.
        others: JSON objects or null; their members win over members of the same name.
    """
    if own.null_count() == len(own):
        return others
    pairs = zip(own.to_list(), others.to_list(), strict=True)
    return pl.Series([_merge(text, name, other) for text, other in pairs], dtype=pl.String)


def _merge(text: str | None, name: str, other: str | None) -> str | None:
    if text is None:
        return other
    members = _members(text)
    if members is None:
        members = {name: text}
        text = orjson.dumps(members).decode()
    if not members or other is None:
        return text if members else other
    added = orjson.loads(other)
    if members.keys() & added.keys():
        return orjson.dumps(members | added).decode()
    # spliced as text, which leaves long numbers as they were written
    return f"{text.strip()[:-1].rstrip()},{other[1:]}"


def _members(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
