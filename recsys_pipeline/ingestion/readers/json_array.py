"""A JSON array of objects, however it is laid out over lines.

Elements are cut out with NumPy: brackets and commas outside strings, and the depth at each. Each
element is then parsed by itself, so a bad one costs no other. Where the structure breaks (an
unclosed bracket), the rest of the file is one unreadable row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recsys_pipeline.ingestion.readers.block import (
    RAW_BYTES,
    Block,
    unreadable_block,
    unreadable_frame,
)
from recsys_pipeline.ingestion.readers.lines import CHUNK_BYTES, MAX_LINE_BYTES, TextReader
from recsys_pipeline.ingestion.readers.objects import object_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.ingestion.readers.source import Source

_BLANK = b" \t\r\n"


def read_json_array(source: Source, encoding: str) -> Iterator[Block]:
    """Read an array of objects in blocks of a few MiB; positions count elements.

    Args:
        source: The file, whose first character is `[`.
        encoding: Encoding of its text.

    Raises:
        SourceError: The file is damaged.
    """
    stream = source.open()
    try:
        text = TextReader(stream, encoding)
        data = b""
        while not data:
            data = text.read(CHUNK_BYTES).lstrip(_BLANK)
        data = data.removeprefix(b"[")
        number = 0
        closed = False
        while not closed:
            more = text.read(CHUNK_BYTES)
            data += more
            elements, rest, closed = _elements(data)
            data = data[rest:]
            if not closed and (not more or len(data) > MAX_LINE_BYTES):
                elements.append(data)
                data = b""
                closed = True
                while text.read(CHUNK_BYTES):
                    pass
            kept = [found for element in elements if (found := element.strip(_BLANK))]
            positions = range(number + 1, number + 1 + len(kept))
            yield from object_blocks(kept, positions, stream.consumed)
            number += len(kept)
        after = data.lstrip(_BLANK)
        while more := text.read(CHUNK_BYTES):
            after = after[:RAW_BYTES] or more.lstrip(_BLANK)
        if after:
            bad = unreadable_frame([(number + 1, after)])
            yield unreadable_block(bad, stream.consumed)
    finally:
        stream.close()


def _elements(data: bytes) -> tuple[list[bytes], int, bool]:
    """Cut the complete elements out of the inside of an array.

    Returns:
        The elements, the offset of what comes after them, and whether the array has ended.
    """
    array = np.frombuffer(data, np.uint8)
    quotes = _quotes(data, array)
    marks = np.flatnonzero(_STRUCTURE[array])
    marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    depth = np.cumsum(_STEP[array[marks]])
    ends = np.flatnonzero(depth < 0)
    closed = len(ends) > 0
    if closed:
        marks, depth = marks[: ends[0] + 1], depth[: ends[0] + 1]
    cuts = marks[((depth == 0) & (array[marks] == ord(","))) | (depth < 0)].tolist()
    starts = [0, *(cut + 1 for cut in cuts)]
    return [data[a:b] for a, b in zip(starts, cuts, strict=False)], starts[-1], closed


def _quotes(data: bytes, array: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the offsets of the quotes that begin or end a string."""
    found = np.flatnonzero(array == ord('"'))
    if b"\\" not in data:
        return found
    escaped = np.zeros(len(found), bool)
    behind = (found > 0) & (array[np.maximum(found - 1, 0)] == ord("\\"))
    for index in np.flatnonzero(behind).tolist():
        at = int(found[index])
        run = at - len(data[max(0, at - 1000) : at].rstrip(b"\\")) - max(0, at - 1000)
        escaped[index] = run % 2 == 1
    return found[~escaped]


_STRUCTURE = np.zeros(256, bool)
_STRUCTURE[[ord(c) for c in "[]{},"]] = True
_STEP = np.zeros(256, np.int64)
_STEP[[ord(c) for c in "[{"]] = 1
_STEP[[ord(c) for c in "]}"]] = -1
