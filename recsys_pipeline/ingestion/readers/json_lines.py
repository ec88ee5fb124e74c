"""JSON lines: one object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys_pipeline.ingestion.readers.block import unreadable_block, unreadable_frame
from recsys_pipeline.ingestion.readers.lines import LineReader
from recsys_pipeline.ingestion.readers.objects import object_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.ingestion.readers.block import Block
    from recsys_pipeline.ingestion.readers.source import Source


def read_json_lines(source: Source, encoding: str) -> Iterator[Block]:
    """Read JSON lines in blocks of a few MiB; blank lines are no rows.

    Args:
        source: The file.
        encoding: Encoding of its text.

    Raises:
        SourceError: The file is damaged.
    """
    stream = source.open()
    try:
        lines = LineReader(stream, encoding)
        while (chunk := lines.read()) is not None:
            if chunk.torn:
                bad = unreadable_frame([(chunk.first_line, chunk.data)])
                yield unreadable_block(bad, stream.consumed)
                continue
            filled = np.flatnonzero(chunk.ends > chunk.starts)
            bounds = zip(chunk.starts[filled].tolist(), chunk.ends[filled].tolist(), strict=True)
            texts = [chunk.data[start:end] for start, end in bounds]
            positions = (chunk.first_line + filled).tolist()
            yield from object_blocks(texts, positions, stream.consumed)
    finally:
        stream.close()
