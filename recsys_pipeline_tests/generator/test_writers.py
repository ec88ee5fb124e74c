from __future__ import annotations

import csv
import gzip
import io
import json
from itertools import pairwise

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.generator import writers
from recsys_pipeline.generator.writers import Insert, encode_row, open_writer

FORMATS = [
    ("csv", "none"),
    ("csv", "gzip"),
    ("csv", "zstd"),
    ("jsonl", "none"),
    ("jsonl", "zstd"),
    ("parquet", "zstd"),
    ("parquet", "none"),
    ("parquet", "gzip"),
]
ROWS = pl.DataFrame(
    {
        "user_id": [f"u{i:05d}" for i in range(3_000)],
        "title": [f'{i}" case, slim' for i in range(3_000)],
        "rating": [None if i % 3 else i / 2 for i in range(3_000)],
    }
)


def write(path, file_format, codec, blocks, inserts=()):
    writer = open_writer(path, file_format, codec)
    for i, block in enumerate(blocks):
        writer.write(block, inserts if i == 0 else ())
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize(("file_format", "codec"), FORMATS)
@settings(deadline=None, max_examples=8)
@given(cuts=st.lists(st.integers(0, 3_000), max_size=6))
def test_bytes_do_not_depend_on_the_cuts(tmp_path_factory, file_format, codec, cuts):
    folder = tmp_path_factory.mktemp("cuts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writers, "ROW_GROUP", 512)
        whole = write(folder / "whole", file_format, codec, [ROWS])
        bounds = [0, *sorted(cuts), 3_000]
        blocks = [ROWS[a:b] for a, b in pairwise(bounds)]
        assert write(folder / "cut", file_format, codec, blocks) == whole


def read_back(data, file_format, codec):
    if file_format == "parquet":
        return pl.read_parquet(io.BytesIO(data)).to_dicts()
    if codec == "gzip":
        data = gzip.decompress(data)
    elif codec == "zstd":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    if file_format == "jsonl":
        return [json.loads(line) for line in data.splitlines()]
    return [
        {**row, "rating": float(row["rating"]) if row["rating"] else None}
        for row in csv.DictReader(io.StringIO(data.decode()))
    ]


@pytest.mark.parametrize(("file_format", "codec"), FORMATS)
def test_rows_come_back_with_the_inserted_ones_in_place(tmp_path, file_format, codec):
    added = [{"user_id": f"x{i}", "title": None, "rating": -1.0} for i in range(4)]
    places = [0, 7, 7, 3_000]
    inserts = [Insert(place, row) for place, row in zip(places, added, strict=True)]
    data = write(tmp_path / "f", file_format, codec, [ROWS], inserts)
    expected = ROWS.to_dicts()
    for place, row in reversed(list(zip(places, added, strict=True))):
        expected.insert(place, row)
    found = read_back(data, file_format, codec)
    assert [{**row, "title": row["title"] or None} for row in found] == expected


def test_a_line_may_be_any_bytes(tmp_path):
    data = write(tmp_path / "f", "csv", "none", [ROWS[:2]], [Insert(1, b"\xff,")])
    assert data.split(b"\n")[2] == b"\xff,"
    assert len(data.split(b"\n")) == 5


def test_an_inserted_row_reads_as_a_written_one(tmp_path):
    for file_format in ("csv", "jsonl"):
        plain = write(tmp_path / "a", file_format, "none", [ROWS[:1]])
        line = encode_row(ROWS.row(0, named=True), file_format)
        assert plain.split(b"\n")[-2] == line


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_failed_write_is_raised(tmp_path, monkeypatch, file_format):
    def fail(*_):
        raise OSError(28, "No space left on device")

    name = "TextTableWriter" if file_format == "csv" else "ParquetTableWriter"
    monkeypatch.setattr(getattr(writers, name), "write", fail)
    writer = open_writer(tmp_path / "f", file_format, "none")
    writer.write(ROWS)
    with pytest.raises(OSError, match="No space"):
        writer.close()
