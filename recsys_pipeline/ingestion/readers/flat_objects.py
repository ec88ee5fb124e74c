"""JSON objects of texts alone, parsed by Polars: half the time of a Python object a row.

Polars is lenient (it reads a number as a text, and passes over what no column asks for), so a row is
taken only if its size tells that nothing else is in it: braces, and for each field its name, its
value, a colon, a comma and four quotes, with a space behind colon and comma or behind neither. A
number or an escaped quote changes the count of quotes. Any other row is left to the reader of all
objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_FIELDS = 64
SAMPLE = 20  # texts that are asked for the fields
FEWEST = 64  # below, a Python object a row is as fast


def flat_objects(texts: Sequence[bytes]) -> tuple[pl.DataFrame, pl.Series] | None:
    """Read the objects whose values are all texts.

    Args:
        texts: One per row.

    Returns:
        A String column per field, null where an object lacks it, one row per text; and for each
        text whether its row holds all of it. None when none can be read this way.
    """
    if len(texts) < FEWEST:
        return None
    names = _fields(texts[:SAMPLE])
    joined = b"\n".join(texts)
    # a blank text is no row to Polars, and one with a line break is several
    if not names or not all(texts) or joined.count(b"\n") != len(texts) - 1:
        return None
    try:
        rows = pl.read_ndjson(joined, schema=dict.fromkeys(names, pl.String), ignore_errors=True)
    except pl.exceptions.PolarsError:
        return None
    if rows.height != len(texts):
        return None
    there = pl.col(names).is_not_null()
    count = pl.sum_horizontal(there.cast(pl.Int64))
    quoted = [
        pl.col(name).str.len_bytes().cast(pl.Int64) + len(name.encode()) + 5 for name in names
    ]
    compact = pl.sum_horizontal(quoted) + count + 1
    sizes = pl.Series("_size", list(map(len, texts)), dtype=pl.Int64)
    quotes = pl.Series("_quotes", [text.count(b'"') for text in texts], dtype=pl.Int64)
    fits = (sizes == compact) | (sizes == compact + 2 * count - 1)
    whole = rows.select(fits & (quotes == 4 * count) & (count > 0)).to_series()
    return rows, whole


def _fields(texts: Sequence[bytes]) -> list[str]:
    """Return the names of all fields of some texts; none when a value is no text."""
    names: dict[str, None] = {}
    for text in texts:
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict):
            names |= dict.fromkeys(name for name, value in row.items() if isinstance(value, str))
    return list(names) if len(names) <= MOST_FIELDS else []
