"""An id is found in a text that nobody could read, however it is written there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.storage.erased import Subjects

IDS = st.text(min_size=1, max_size=12).map(str.strip).filter(bool)


def found(user: str, text: str) -> tuple[bool, bool]:
    """Look for a user by the id, and by its hash alone."""
    known = Subjects.of_ids("acme", b"key", frozenset({(user, None)}))
    return known.are_named(text), Subjects("acme", b"key", known.erased).are_named(text)


@given(IDS, st.booleans())
def test_in_torn_json(user, ascii_only):
    text = f'{{"user_id": {json.dumps(user, ensure_ascii=ascii_only)}, "item'
    assert found(user, text) == (True, True)


@given(IDS.filter(lambda user: not set(user) & set('",;|\t\n\r')), st.sampled_from(",;|\t"))
def test_in_a_line_with_too_few_fields(user, delimiter):
    for text in (f"{user}{delimiter}i1", f"i1{delimiter}{user}", f'"{user}"{delimiter} i1'):
        assert found(user, text) == (True, True), text


@given(IDS)
def test_in_a_quoted_field(user):
    quoted = user.replace('"', '""')
    assert found(user, f'"{quoted}",i1') == (True, True)


@pytest.mark.parametrize("text", ["u11,i1", '{"user_id": "xu1", "it', "u1_2;i1", ""])
def test_not_as_a_part_of_another(text):
    assert found("u1", text) == (False, False)
