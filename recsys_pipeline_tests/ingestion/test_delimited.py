from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.errors import SourceError
from recsys_pipeline_tests.ingestion.files import GOOD, HEADER, blocks_of, mapping_of, write

BARE = '[format]\nheader = false\ncolumns = ["a", "b", "c"]\n'
CELL = st.text(st.sampled_from('ab",;\n\r\t é\x00'), max_size=6)
LAX = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@LAX
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=12),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_reads_what_the_csv_module_writes(tmp_path, tiny_chunks, rows, quoting, ending):
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=ending)
    expected, line = [], 1
    if quoting == csv.QUOTE_MINIMAL:  # the module leaves a carriage return unquoted
        rows = [tuple(cell.replace("\r", "") for cell in row) for row in rows]
    for row in rows:
        before = text.tell()
        writer.writerow(row)
        text.seek(before)
        expected.append((*(cell or None for cell in row), line))
        line += text.read().count("\n")
    path = write(tmp_path, "f.csv", text.getvalue())
    mapping = mapping_of(BARE.replace("[format]", '[format]\ndelimiter = ","'))
    read, unreadable = blocks_of(path, mapping)
    assert read.rows() == expected
    assert unreadable.is_empty()


PIECES = st.sampled_from(
    [b"a", b",", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\xff", "é".encode(), b"\x00", b" "]
)


@settings(LAX, max_examples=300)
@given(st.lists(PIECES, max_size=60).map(b"".join))
def test_no_line_is_lost_or_doubled(tmp_path, tiny_chunks, body):
    data = b"x,y,z\n" + body + b"\nu,v,w\n"
    path = write(tmp_path, "f.csv", data)
    mapping = mapping_of(BARE.replace("[format]", '[format]\ndelimiter = ","'))
    read, unreadable = blocks_of(path, mapping)
    lines = data.split(b"\n")[:-1]
    # a row takes its own line and those that its quoted fields run over
    covered = list(unreadable["position"])
    for *cells, position in read.rows():
        breaks = sum((cell or "").count("\n") for cell in cells)
        covered += range(position, position + breaks + 1)
    filled = {n for n, line in enumerate(lines, 1) if line.removesuffix(b"\r")}
    assert len(covered) == len(set(covered))
    assert filled <= set(covered) <= set(range(1, len(lines) + 1))
    assert read.rows()[0] == ("x", "y", "z", 1)


@settings(LAX, max_examples=100)
@given(st.lists(PIECES, max_size=60).map(b"".join))
def test_chunks_change_nothing(tmp_path, body):
    from recsys_pipeline.ingestion.readers import lines

    path = write(tmp_path, "f.csv", b"x,y,z\n" + body)
    mapping = mapping_of(BARE.replace("[format]", '[format]\ndelimiter = ","'))
    whole = blocks_of(path, mapping)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK_BYTES", 16)
        patch.setattr(lines, "READ_BYTES", 5)
        pieces = blocks_of(path, mapping)
    assert whole[0].rows() == pieces[0].rows()
    assert whole[1].sort("position").rows() == pieces[1].sort("position").rows()


def test_an_open_quote_costs_one_line(tmp_path):
    path = write(tmp_path, "f.csv", HEADER + GOOD + 'u2,"i2,view,2025\n' + GOOD * 3)
    read, unreadable = blocks_of(path)
    assert read["#"].to_list() == [2, 4, 5, 6]
    assert unreadable.rows() == [(3, 'u2,"i2,view,2025')]


def test_an_open_quote_before_a_quoted_field_costs_one_line(tmp_path):
    quoted = '"u1","i1","view","2025-05-01"\n'
    path = write(tmp_path, "f.csv", HEADER + 'u2,"i2,view,2025\n' + quoted * 3)
    read, unreadable = blocks_of(path)
    assert read["#"].to_list() == [3, 4, 5]
    assert unreadable["position"].to_list() == [2]


def test_an_open_quote_far_from_the_end_costs_one_line(tmp_path):
    path = write(tmp_path, "f.csv", HEADER + 'u2,"i2,view,2025\n' + GOOD * 600_000)
    read, unreadable = blocks_of(path)
    assert read.height == 600_000
    assert unreadable["position"].to_list() == [2]


def test_ragged_and_undecodable_lines_keep_their_text(tmp_path):
    body = HEADER.encode() + b"u1,i1\n" + b"u\xe9,i1,view,2025\n" + b"a,b,c,d,e\n" + GOOD.encode()
    read, unreadable = blocks_of(write(tmp_path, "f.csv", body))
    assert read["#"].to_list() == [5]
    assert unreadable.rows() == [(2, "u1,i1"), (3, "u\\xe9,i1,view,2025"), (4, "a,b,c,d,e")]


def test_quotes_inside_an_unquoted_field_are_text(tmp_path):
    read, unreadable = blocks_of(write(tmp_path, "f.csv", 'a,b\n27" screen,5\' 3"\n'))
    assert read.rows() == [('27" screen', "5' 3\"", 2)]
    assert unreadable.is_empty()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig", "shift_jis"])
def test_encodings(tmp_path, encoding):
    text = "user,city\n1,Zürich\n" if encoding != "shift_jis" else "user,city\n1,東京\n"
    path = write(tmp_path, "f.csv", text.encode(encoding))
    read, unreadable = blocks_of(path, mapping_of(f'[format]\nencoding = "{encoding}"\n'))
    assert read["city"].to_list() == [text.rsplit(",", maxsplit=1)[-1].strip()]
    assert unreadable.is_empty()


def test_bytes_that_an_encoding_has_not_cost_one_line(tmp_path):
    path = write(tmp_path, "f.csv", b"a,b\n1,\x81x\n2,y\n")
    read, unreadable = blocks_of(path, mapping_of('[format]\nencoding = "cp1252"\n'))
    assert read.rows() == [("2", "y", 3)]
    assert unreadable["position"].to_list() == [2]


@pytest.mark.parametrize(("name", "delimiter"), [("f.tsv", "\t"), ("f.csv", ";"), ("f.txt", "|")])
def test_the_delimiter_is_found(tmp_path, name, delimiter):
    text = f"a{delimiter}b\n1{delimiter}x,y\n"
    assert blocks_of(write(tmp_path, name, text))[0].rows() == [("1", "x,y", 2)]


def test_quoting_can_be_switched_off(tmp_path):
    path = write(tmp_path, "f.tsv", 'a\tb\n"x\ty\n')
    assert blocks_of(path, mapping_of('[format]\nquote = ""\n'))[0].rows() == [('"x', "y", 2)]


def test_mark_blank_lines_and_old_line_ends(tmp_path):
    path = write(tmp_path, "f.csv", b"\xef\xbb\xbf\r\na,b\r\n\r\n1,2\r\n\r\n3,4")
    assert blocks_of(path)[0].rows() == [("1", "2", 4), ("3", "4", 6)]
    path = write(tmp_path, "mac.csv", b"a,b\r1,2\r3,4\r")
    assert blocks_of(path)[0].rows() == [("1", "2", 2), ("3", "4", 3)]


def test_nul_bytes_and_huge_cells_stay_in_their_row(tmp_path):
    huge = "x" * (10 << 20)
    path = write(tmp_path, "f.csv", f"a,b\n1,{huge}\n2,n\x00l\n3,z\n")
    read, unreadable = blocks_of(path)
    assert read["b"].to_list() == [huge, "n\x00l", "z"]
    assert unreadable.is_empty()


def test_a_line_longer_than_memory_allows_is_unreadable(tmp_path, tiny_chunks, monkeypatch):
    from recsys_pipeline.ingestion.readers import lines

    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 200)
    path = write(tmp_path, "f.csv", "a,b\n1,2\n" + "x" * 2000 + "\n3,4\n")
    read, unreadable = blocks_of(path)
    assert read.rows() == [("1", "2", 2), ("3", "4", 4)]
    assert unreadable["position"].to_list() == [3]
    assert set(unreadable["text"][0]) == {"x"}


def test_odd_column_names(tmp_path):
    path = write(tmp_path, "f.csv", ',*,^a$,"b ""c"""\n1,2,3,4\n')
    read, _ = blocks_of(path)
    assert read.columns == ["column_1", "*", "^a$", 'b "c"', "#"]
    assert read.rows() == [("1", "2", "3", "4", 2)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a,a\n1,2\n", "line 1: names the column 'a' twice"),
        (b'a,"b\n1,2\n', "line 1: is no header"),
        (b"a,\xe9\n1,2\n", "line 1: is not UTF-8"),
        (b"\n\n  \n", "has no content"),
    ],
)
def test_a_wrong_header_is_an_error(tmp_path, data, words):
    with pytest.raises(SourceError, match=words):
        blocks_of(write(tmp_path, "f.csv", data))
