from __future__ import annotations

import gzip
import os

import pytest
import zstandard

from recsys_pipeline.errors import SourceError
from recsys_pipeline.ingestion.readers.source import open_source
from recsys_pipeline_tests.ingestion.files import GOOD, HEADER, blocks_of, mapping_of, write

DATA = (HEADER + GOOD * 50).encode()
PACKED = {
    "gz": gzip.compress(DATA),
    "zst": zstandard.compress(DATA),
    "two.gz": gzip.compress(DATA[:100]) + gzip.compress(DATA[100:]),
    "two.zst": zstandard.compress(DATA[:100]) + zstandard.compress(DATA[100:]),
}


@pytest.mark.parametrize("name", PACKED)
def test_compression_is_told_by_the_bytes(tmp_path, name):
    plain, _ = blocks_of(write(tmp_path, "f.csv", DATA))
    for path in (f"f.csv.{name}", "f.csv"):
        packed, _ = blocks_of(write(tmp_path, path, PACKED[name]))
        assert packed.rows() == plain.rows()


@pytest.mark.parametrize("name", PACKED)
def test_a_truncated_or_damaged_stream_is_refused(tmp_path, name):
    whole = PACKED[name]
    flipped = bytearray(whole)
    flipped[-6] ^= 0xFF
    for data in (whole[:-3], whole[: len(whole) // 2], bytes(flipped)):
        if name.endswith("zst") and data == bytes(flipped):
            continue  # zstandard writes no checksum by default
        with pytest.raises(SourceError, match="can't be decompressed"):
            blocks_of(write(tmp_path, f"f.csv.{name}", data))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.csv", "does not exist"),
        ("folder", "is a folder"),
        ("empty.csv", "is empty"),
        ("blank.csv", "has no content"),
        ("empty.csv.gz", "has no content"),
        ("file/below", "can't be read|does not exist"),
        ("ftp://host/f.csv", "unknown scheme"),
        ("nul\0.csv", "can't be read"),
        ("pipe", "not a regular file"),
        ("x" * 5000, "can't be read"),
    ],
)
def test_what_is_no_file_is_one_line(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(DATA)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "blank.csv").write_bytes(b" \n\n")
    (tmp_path / "empty.csv.gz").write_bytes(gzip.compress(b""))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match=words) as error:
        blocks_of(name)
    assert "\n" not in str(error.value)


def test_the_digest_is_of_the_bytes(tmp_path):
    digests = set()
    for name, data in (("a.csv", DATA), ("b.csv", DATA), ("c.csv", DATA + b"\n")):
        with open_source(write(tmp_path, name, data)) as source:
            digests.add(source.digest)
    assert len(digests) == 2


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path):
    path = write(tmp_path, "f.csv", DATA)
    with open_source(path) as source:
        source.check_unchanged()
        write(tmp_path, "f.csv", DATA + b"x")
        with pytest.raises(SourceError, match="changed while it was read"):
            source.check_unchanged()


def test_utf_16_is_told_by_its_mark(tmp_path):
    path = write(tmp_path, "f.csv", "a,b\n1,ü\n".encode("utf-16"))
    assert blocks_of(path, mapping_of(None))[0].rows() == [("1", "ü", 2)]
