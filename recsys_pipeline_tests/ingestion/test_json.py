from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline_tests.ingestion.files import blocks_of, write

LAX = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT = st.text(st.sampled_from('ab"\\[]{},:\n é\x00😀'), max_size=8)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(-1e15, 1e15, allow_nan=False)
    | TEXT
)
VALUE = SCALAR | st.lists(SCALAR, max_size=3) | st.dictionaries(TEXT, SCALAR, max_size=3)
OBJECTS = st.lists(st.dictionaries(st.sampled_from("abcd"), VALUE, max_size=4), max_size=8)


def matches(text, value):
    if value is None or isinstance(value, str):
        return text == value
    return json.loads(text) == value


def assert_rows(read, objects, positions):
    assert read.height == len(objects)
    if not objects:
        return
    assert read["#"].to_list() == positions
    for row, expected in zip(read.drop("#").rows(named=True), objects, strict=True):
        assert all(matches(row[key], value) for key, value in expected.items())
        assert all(row[key] is None for key in row.keys() - expected.keys())


@LAX
@given(OBJECTS, st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_lines_of_any_objects(tmp_path, tiny_chunks, objects, ending, ascii_only):
    lines = [json.dumps(o, ensure_ascii=ascii_only) + ending for o in objects]
    path = write(tmp_path, "f.jsonl", "".join(lines) or "\n{}\n")
    read, unreadable = blocks_of(path)
    step = ending.count("\n")
    assert_rows(read, objects or [{}], [i * step + 1 for i in range(len(objects))] or [2])
    assert unreadable.is_empty()


@LAX
@given(OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_an_array_however_it_is_laid_out(tmp_path, tiny_chunks, objects, indent, ascii_only):
    text = " \n" + json.dumps(objects, indent=indent, ensure_ascii=ascii_only) + "\n"
    read, unreadable = blocks_of(write(tmp_path, "f.json", text))
    assert_rows(read, objects, list(range(1, len(objects) + 1)))
    assert unreadable.is_empty()


LINES = st.lists(
    st.sampled_from(
        [
            b'{"a": 1}',
            b'{"a": NaN}',
            b"[1]",
            b'"a"',
            b'{"a": ',
            b"7",
            b"\xff",
            b'{"a": "\xe9"}',
            b"{}",
        ]
    ),
    min_size=1,
    max_size=30,
)


@LAX
@given(LINES)
def test_a_line_that_is_no_object_is_kept_as_text(tmp_path, tiny_chunks, lines):
    read, unreadable = blocks_of(write(tmp_path, "f.jsonl", b"\n".join(lines)))
    good = [i for i, line in enumerate(lines, 1) if line in (b'{"a": 1}', b"{}")]
    positions = read["#"].to_list() if read.height else []
    assert positions == good
    expected = [
        (i, line.decode("utf-8", "backslashreplace"))
        for i, line in enumerate(lines, 1)
        if i not in good
    ]
    assert unreadable.rows() == expected


def test_ids_given_as_numbers_become_their_text(tmp_path):
    lines = '{"id": 123}\n{"id": 12345678901234567890123}\n{"id": "x", "n": {"k": 98765432109876543210}}\n'
    read, _ = blocks_of(write(tmp_path, "f.jsonl", lines))
    assert read["id"].to_list() == ["123", "12345678901234567890123", "x"]
    assert read["n"].to_list() == [None, None, '{"k":98765432109876543210}']


def test_a_bad_element_costs_no_other(tmp_path):
    path = write(tmp_path, "f.json", '[{"a": 1}, {"a": NaN}, 7, {"a": 2}]')
    read, unreadable = blocks_of(path)
    assert read.rows() == [("1", 1), ("2", 4)]
    assert unreadable.rows() == [(2, '{"a": NaN}'), (3, "7")]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ('[{"a": 1}, {"a": [2, {"a": 3}]', '{"a": [2, {"a": 3}]'),
        ('[{"a": 1}, {"a": "open}, {"b": 3}]', '{"a": "open}, {"b": 3}]'),
        ('[{"a": 1}] {"a": 2}', '{"a": 2}'),
    ],
)
def test_text_after_a_break_is_one_unreadable_row(tmp_path, tiny_chunks, text, rest):
    read, unreadable = blocks_of(write(tmp_path, "f.json", text))
    assert read.rows() == [("1", 1)]
    assert unreadable.rows() == [(2, rest)]


def test_an_element_larger_than_memory_allows_ends_the_array(tmp_path, tiny_chunks, monkeypatch):
    from recsys_pipeline.ingestion.readers import json_array

    monkeypatch.setattr(json_array, "MAX_LINE_BYTES", 200)
    path = write(tmp_path, "f.json", orjson.dumps([{"a": "1"}, {"a": "x" * 2000}]))
    read, unreadable = blocks_of(path)
    assert read.rows() == [("1", 1)]
    assert unreadable["position"].to_list() == [2]


def test_deep_nesting_is_no_crash(tmp_path):
    deep = '{"a": ' + "[" * 1000 + "12345678901234567890" + "]" * 1000 + "}"
    read, unreadable = blocks_of(write(tmp_path, "f.jsonl", deep + '\n{"a": 1}\n'))
    assert read["#"].to_list() == [2]
    assert unreadable["position"].to_list() == [1]


def test_objects_with_a_key_of_their_own_each(tmp_path, monkeypatch):
    from recsys_pipeline.ingestion.readers import objects

    monkeypatch.setattr(objects, "MAX_CELLS", 50)
    lines = "".join(f'{{"a": "x", "k{i}": {i}}}\n' for i in range(40))
    read, _ = blocks_of(write(tmp_path, "f.jsonl", lines))
    assert read["#"].to_list() == list(range(1, 41))
    assert [read[f"k{i}"][i] for i in range(40)] == [str(i) for i in range(40)]


def test_the_format_of_json_is_told_by_its_first_character(tmp_path):
    assert blocks_of(write(tmp_path, "a.json", '{"a": 1}\n'))[0].rows() == [("1", 1)]
    assert blocks_of(write(tmp_path, "a", '\ufeff\n[{"a": 1}]'))[0].rows() == [("1", 1)]
