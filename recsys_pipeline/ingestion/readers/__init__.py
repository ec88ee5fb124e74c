"""Readers: files of any supported format as blocks of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.ingestion.mapping import Format
    from recsys_pipeline.ingestion.readers.block import Block
    from recsys_pipeline.ingestion.readers.source import Source


def read_blocks(source: Source, form: Format) -> Iterator[Block]:
    """Read a source in blocks; memory stays flat whatever its size.

    Args:
        source: The file.
        form: How its text is cut into fields; JSON takes only the encoding from it.

    Raises:
        SourceError: The file is damaged, or its header can't be read.
    """
    if source.format == "csv":
        from recsys_pipeline.ingestion.readers.delimited import read_delimited

        yield from read_delimited(source, form)
    elif source.format == "json_lines":
        from recsys_pipeline.ingestion.readers.json_lines import read_json_lines

        yield from read_json_lines(source, form.encoding)
    elif source.format == "json_array":
        from recsys_pipeline.ingestion.readers.json_array import read_json_array

        yield from read_json_array(source, form.encoding)
    else:
        from recsys_pipeline.ingestion.readers.parquet import read_parquet

        yield from read_parquet(source)
