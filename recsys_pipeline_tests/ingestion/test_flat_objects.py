"""The quick reader of flat objects against the one that reads any."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from recsys_pipeline.ingestion.readers.flat_objects import FEWEST, flat_objects
from recsys_pipeline.ingestion.readers.objects import _any_objects, object_blocks

PLAIN = [b'{"a":"0","b":"y"}'] * FEWEST
VALUES = (
    st.text(max_size=4)
    | st.sampled_from(["", " ", '"', "5", "5.0", "é", "\n", "{}", "a:b", '","b":"'])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
    | st.lists(st.text(max_size=2), max_size=2)
    | st.dictionaries(st.sampled_from(["a", "b"]), st.text(max_size=2), max_size=1)
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c", "", "é", '"']), VALUES, max_size=4)
ODD = [
    b'{"a":"1"', b'{"a":"1",}', b'{"a":"1"}x', b'{"a":"1","a":"2"}', b'{"a":5.0}', b'{"a": 5.0}',
    b'{"a":  5}', b'{"a":  {}}', b'{"a":"\xff"}', b'{"a":"\x01"}', b'{"a":"1"}{"a":"2"}', b"", b"[]",
    b'"x"', b"null", b'{"a":"1"} ', b' {"a":"1"}', b'{"a" :"1"}', b'{"a":"x","z":"y"}', b"nonsense",
    b'{"a":\n"1"}', b'{"a":"\\u00e9"}', b'{"a":"\\""}', b'{"a":1e3}', b'{"a":123456789012345678901}',
]  # fmt: skip


@st.composite
def texts(draw):
    found = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 3)) == 0:
            found.append(draw(st.sampled_from(ODD)))
            continue
        separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (", ", ":"), (" ,", " : ")]))
        row = draw(OBJECTS)
        found.append(
            json.dumps(row, separators=separators, ensure_ascii=draw(st.booleans())).encode(
                "utf-8", "surrogatepass"
            )
        )
    where = draw(st.integers(0, len(PLAIN)))
    return PLAIN[:where] + found + PLAIN[where:]


def read(blocks):
    """Return what was read of each position."""
    found = {}
    for block in blocks:
        for position, row in zip(block.positions, block.rows.iter_rows(named=True), strict=True):
            assert position not in found
            found[position] = {name: value for name, value in row.items() if value is not None}
        for position, text in block.unreadable.iter_rows():
            assert position not in found
            found[position] = text
    return found


@settings(max_examples=300)
@example([*PLAIN, b'{"":""}'])
@example([*PLAIN, b'{"a":1.5e-07}'])
@example([*PLAIN, b'{"a":1e3 ,"b":"\\"\\""}'])  # two quotes more make up for a number
@example([*PLAIN, b'{"a":1e3,"b":1e3,"":""   }'])  # a field more and spaces, for two numbers
@example([*PLAIN, b'{"a":1e3,"b":1e3,"":""}'])
@example([*PLAIN, b'{"a" :0.10,"b":":"}'])
@example([*PLAIN, b'{"a" :0.10}', b'{"a":":x"}'])
@example(
    [b'{"a":"0","b":"y"}', *PLAIN, b'{"a":0.100,"b":"y"}', b'{"a":1e20,"b":"","c":"","d":"" }']
)
@given(texts())
def test_both_readers_agree(values):
    positions = list(range(10, 10 + len(values)))
    assert read(object_blocks(values, positions, 0)) == read(_any_objects(values, positions, 0))


def test_flat_objects_are_taken_and_others_left():
    odd = [b'{"a":1}', b'{"a":5.0}', b'{"a":"1","c":"2"}', b'{"a":"\\""}', b'{"a":null}', b"{}"]
    good = [b'{"b":"x"}', b'{"a": "1", "b": "2"}', '{"a":"é"}'.encode(), b'{"a":"","b":""}']
    rows, whole = flat_objects(PLAIN + odd + good)
    assert whole.to_list() == [True] * FEWEST + [False] * len(odd) + [True] * len(good)
    assert rows.rows()[-4:] == [(None, "x"), ("1", "2"), ("é", None), ("", "")]


def test_few_texts_and_texts_that_are_no_lines_are_left():
    assert flat_objects(PLAIN[:-1]) is None
    assert flat_objects([*PLAIN, b""]) is None
    assert flat_objects([*PLAIN, b'{"a":\n"1"}']) is None
    assert flat_objects([b"[1]"] * FEWEST) is None
