"""JSON objects of texts alone, parsed by Polars: half the time of a Python object a row.

Polars is lenient: it reads a number as a text, and passes over what no column asks for. So a row is
taken only if its text can hold nothing else. Without a backslash a quote is where a text begins or
ends; where a colon stands behind each name, and a quote behind each colon, all values are texts; then
the size of the row tells whether there is a field that no column asked for. Any other row is left to
the reader of all objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_FIELDS = 64
SAMPLE = 20  # texts that are asked for the fields
_ODD = (b"\\", b"\t", b"\r")
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
    fields = pl.sum_horizontal(pl.col(names).is_not_null().cast(pl.Int64))
    lengths = [
        pl.col(name).str.len_bytes().cast(pl.Int64) + len(name.encode()) + 5 for name in names
    ]
    sizes = pl.Series(list(map(len, texts)), dtype=pl.Int64)
    form = rows.select(fields.alias("fields"), (sizes - pl.sum_horizontal(lengths)).alias("extra"))
    compact = (pl.col("extra") == pl.col("fields") + 1) & (pl.col("fields") > 0)
    is_compact = form.select(compact).to_series()
    if is_compact.all() and _texts_alone(joined):
        return rows, is_compact
    spaced = (pl.col("extra") == 3 * pl.col("fields")) & (pl.col("fields") > 0)
    plain = pl.Series([_text_fields(text) for text in texts], dtype=pl.Int64)
    return rows, form.select((plain == pl.col("fields")) & (compact | spaced)).to_series()


def _texts_alone(joined: bytes) -> bool:
    """Tell whether every value is a text with its colon close by, for many rows at once."""
    if any(character in joined for character in _ODD):
        return False
    characters = np.frombuffer(joined, np.uint8)
    quote = characters == ord('"')
    colon = quote[:-2] & (characters[1:-1] == ord(":")) & ~quote[2:]
    space = quote[:-1] & (characters[1:] == ord(" "))
    return not (colon.any() or space.any())


def _text_fields(text: bytes) -> int:
    """Return the number of fields if all values are texts, as far as can be told; else -1."""
    if any(character in text for character in _ODD) or b'" :' in text:
        return -1
    # a text that begins with a colon counts as a field without a value: the row is left
    count = text.count(b'":')
    return count if count == text.count(b'":"') + text.count(b'": "') else -1


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
