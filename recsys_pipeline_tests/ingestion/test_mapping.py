from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys_pipeline.errors import MappingError
from recsys_pipeline.ingestion.mapping import builtin_names, load_mapping
from recsys_pipeline_tests.ingestion.files import mapping_of

WRONG = {
    "unknown field": (
        '[columns]\nuser_id = "u"\nitm_id = "i"\n',
        ["line 3", "'columns.itm_id'", "Did you mean 'item_id'?", "user_id, item_id"],
    ),
    "unknown table": ('\n[colums]\nuser_id = "u"\n', ["line 2", "'colums'", "'columns'?"]),
    "unknown format key": ('[format]\ndelimter = ","\n', ["line 2", "'delimiter'?"]),
    "not TOML": ('[columns]\nuser_id = = "u"\n', ["line 2", "not TOML"]),
    "cut short": ('[columns]\nuser_id = "u', ["line 2", "not TOML"]),
    "field of the other kind": (
        '[items.columns]\nuser_id = "u"\n',
        ["line 2", "'items.columns.user_id'", "title"],
    ),
    "value for a table": ("format = 3\n", ["line 1", "[format]", "delimiter"]),
    "number for a name": ("[columns]\nitem_id = 3\n", ["line 2", "columns.item_id", "3"]),
    "time form": ('[timestamp]\nform = "isoo"\n', ["line 2", "'isoo'", "iso8601"]),
    "strptime": ('[timestamp]\nform = "%Q"\n', ["line 2", "'%Q'"]),
    "strptime without day": ('[timestamp]\nform = "%H:%M"\n', ["line 2", "names a day"]),
    "strptime nanoseconds": ('[timestamp]\nform = "%Y-%m-%d %H:%M:%S,%f"\n', ["line 2", "%f"]),
    "time zone": ('[timestamp]\n\ntimezone = "Mars/X"\n', ["line 3", "'Mars/X'"]),
    "encoding": ('[format]\nencoding = "klingon"\n', ["line 2", "'klingon'", "latin-1"]),
    "binary codec": ('[format]\nencoding = "base64"\n', ["line 2", "'base64'"]),
    "no header, no names": ("[format]\nheader = false\n", ["line 1", "columns = ["]),
    "names twice": (
        '[format]\nheader = false\ncolumns = ["a", "a"]\n',
        ["line 1", "name twice"],
    ),
    "two origins": (
        '[columns]\nitem_id = "i"\n[constants]\nitem_id = "i"\n',
        ["item_id is both in columns and in constants"],
    ),
    "threshold": ('[ratings]\nlike_threshold = "four"\n', ["line 2", "'four'"]),
    "long delimiter": ('[format]\ndelimiter = "|||||"\n', ["line 2", "'|||||'"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_mapping_is_named_with_its_line(case):
    text, parts = WRONG[case]
    with pytest.raises(MappingError) as error:
        mapping_of(text)
    message = str(error.value)
    assert "\n" not in message
    assert "test.toml" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("name", ["movilens", "no/such.toml", "."])
def test_a_name_that_is_no_mapping(name):
    with pytest.raises(MappingError) as error:
        load_mapping(name, "items")
    assert repr(name) in str(error.value)
    assert name != "movilens" or "Did you mean 'movielens'?" in str(error.value)


@pytest.mark.parametrize("name", builtin_names())
@pytest.mark.parametrize("kind", ["interactions", "items"])
def test_built_in_mappings_are_valid(name, kind):
    assert load_mapping(name, kind).kind == kind


def test_a_file_is_read_like_its_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[columns]\nuser_id = "u"\n', encoding="utf-8-sig")
    assert load_mapping(str(path), "interactions").columns == {"user_id": "u"}


def test_tables_of_a_kind_replace_the_shared_ones():
    text = (
        '[columns]\nitem_id = "i"\n[timestamp]\nform = "epoch_s"\n'
        '[items.columns]\nitem_id = "sku"\n[items.timestamp]\nform = "iso8601"\n'
    )
    events, items = mapping_of(text), mapping_of(text, "items")
    assert (events.columns, events.timestamp.form) == ({"item_id": "i"}, "epoch_s")
    assert (items.columns, items.timestamp.form) == ({"item_id": "sku"}, "iso8601")


def test_columns_keep_their_name_unless_another_field_takes_it():
    mapping = mapping_of(
        '[columns]\nitem_id = "event_id"\n[constants]\ninteraction_type = "view"\n'
    )
    found = mapping.locate(["user_id", "event_id", "timestamp", "interaction_type", "shop"])
    assert found == {"user_id": "user_id", "item_id": "event_id", "timestamp": "timestamp"}


def test_a_file_without_the_columns_is_told_what_it_has():
    with pytest.raises(MappingError, match=r"no column for item_id.*it has 'user_id', 'product'"):
        mapping_of(None).check_columns(["user_id", "product"], "f.csv", complete=True)
    with pytest.raises(MappingError, match="interaction_type or rating"):
        mapping_of(None).check_columns(["user_id", "item_id", "timestamp"], "f.csv", complete=True)
    optional = mapping_of('[columns]\nevent_id = "eid"\n')
    names = ["user_id", "item_id", "timestamp", "rating"]
    optional.check_columns(names, "f.jsonl", complete=False)
    with pytest.raises(MappingError, match="no column 'eid'"):
        optional.check_columns(names, "f.csv", complete=True)


def test_the_fingerprint_tells_what_changes_the_rows():
    plain, named = mapping_of(None), mapping_of("")
    assert plain.fingerprint() == named.fingerprint()
    assert plain.fingerprint() != mapping_of("[ratings]\nlike_threshold = 3\n").fingerprint()
    assert plain.fingerprint() != mapping_of(None, "items").fingerprint()


@pytest.mark.parametrize("kind", ["interactions", "items"])
def test_the_documented_mappings_are_valid(kind):
    text = (Path(__file__).parents[2] / "docs" / "mappings.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        assert mapping_of(example, kind).columns
