from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.ingestion.normalise import SCHEMAS
from recsys_pipeline.schemas.landing import PARKING_PROBLEMS
from recsys_pipeline_tests.ingestion.files import (
    GOOD,
    HEADER,
    RECEIVED,
    START,
    landed_of,
    mapping_of,
    write,
)

LAX = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT = st.text(st.sampled_from('ab", é😀\x00'), min_size=1, max_size=6)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = {
    "2025-05-01T10:20:30Z": datetime(2025, 5, 1, 10, 20, 30, tzinfo=UTC),
    "2024-12-31 23:59:59.5 UTC": datetime(2024, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
    "1746094830": datetime(2025, 5, 1, 10, 20, 30, tzinfo=UTC),
    "1970-01-01": EPOCH,
    "2025-06-01T12:05:00Z": RECEIVED + timedelta(minutes=5),
    "2025-06-01T12:05:00.000001Z": RECEIVED + timedelta(minutes=5, microseconds=1),
    "2262-01-01": "timestamp.range",
    "1969-12-31": "timestamp.range",
    "soon": "timestamp.readable",
    None: "timestamp.readable",
}
RATINGS = {"4.0": 4.0, "3.99": 3.99, "7": 7.0, " 5 ": 5.0, "x": None, "4,5": None, None: None}
EVENTS = st.fixed_dictionaries(
    {
        "user_id": st.none() | TEXT,
        "item_id": st.none() | TEXT,
        "interaction_type": st.sampled_from([None, "view", "buy", "odd"]),
        "timestamp": st.sampled_from(list(TIMES)),
        "rating": st.sampled_from(list(RATINGS)),
        "context": st.sampled_from([None, '{"k": "v"}', '{"shop": 1}', "note", "{}", "[1]"]),
        "shop": st.none() | TEXT,
        "*": st.none() | TEXT,
    }
)


def oracle(row) -> dict:
    """What a row lands as, one value at a time."""
    time = TIMES[row["timestamp"]]
    rating = RATINGS[row["rating"]]
    problem = time if isinstance(time, str) else None
    if problem is None and time > RECEIVED + timedelta(minutes=5):
        problem = "timestamp.not_future"
    parked = problem is not None
    if problem is None and row["rating"] is not None and rating is None:
        problem = "rating.readable"
    word = {"buy": "purchase"}.get(row["interaction_type"], row["interaction_type"])
    if word is None and rating is not None:
        word = "like" if rating >= 4 else "view"
    further = {}
    if row["context"] is not None:
        value = json.loads(row["context"]) if row["context"] != "note" else None
        further = value if isinstance(value, dict) else {"context": row["context"]}
    further |= {key: row[key] for key in ("shop", "*") if row[key] is not None}
    return {
        "user_id": row["user_id"],
        "item_id": row["item_id"],
        "interaction_type": word,
        "timestamp": None if isinstance(time, str) else time,
        "rating": rating,
        "event_id": None,
        "context": further or None,
        "problem": problem,
        "parked": parked,
        "revision": None,
        "date": RECEIVED.date() if parked else time.date(),
        "raw": {k: v for k, v in row.items() if v is not None} if problem else None,
        "tenant": "acme",
        "batch_id": "batch-1",
        "source": "file:test",
        "received_at": RECEIVED,
    }


def as_csv(rows) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_jsonl(rows) -> bytes:
    kept = ({k: v for k, v in row.items() if v is not None} for row in rows)
    return b"".join(json.dumps(row).encode() + b"\n" for row in kept)


def as_parquet(rows) -> bytes:
    data = io.BytesIO()
    pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.String)).write_parquet(data)
    return data.getvalue()


FORMATS = {
    "f.csv": as_csv,
    "f.jsonl": as_jsonl,
    "f.json": lambda rows: json.dumps(rows).encode(),
    "f.parquet": as_parquet,
}


@pytest.mark.parametrize("name", FORMATS)
@LAX
@given(rows=st.lists(EVENTS, min_size=1, max_size=10))
def test_rows_land_as_the_oracle_says(tmp_path, name, rows):
    mapping = mapping_of('[event_types]\nbuy = "purchase"\n')
    landed = landed_of(write(tmp_path, name, FORMATS[name](rows)), mapping)
    assert landed.schema == SCHEMAS["interactions"]
    assert landed.height == len(rows)
    for given_row, row in zip(rows, landed.drop("position").rows(named=True), strict=True):
        expected = oracle(given_row)
        for key in ("context", "raw"):
            row[key] = row[key] and json.loads(row[key])
        assert row == expected


def test_an_unreadable_line_is_parked_with_its_text(tmp_path):
    row = landed_of(write(tmp_path, "f.csv", HEADER + "u1,i1\n" + GOOD)).row(0, named=True)
    assert row["problem"] == "line.readable"
    assert (row["raw"], row["position"], row["parked"]) == ("u1,i1", 2, True)
    assert row["date"] == RECEIVED.date()
    assert row["user_id"] is None


def test_unknown_words_and_odd_numbers_are_not_judged_here(tmp_path):
    body = "user_id,item_id,interaction_type,timestamp,rating\nu,i,wish,2025-05-01,NaN\nu,i,,2025-05-01,nan\nu,i,view,2025-05-01,-inf\n"
    landed = landed_of(write(tmp_path, "f.csv", body))
    assert landed["interaction_type"].to_list() == ["wish", None, "view"]
    assert landed["problem"].null_count() == 3
    assert not landed["rating"].is_finite().any()


def test_very_long_cells_are_cut_so_that_the_length_rule_meets_them(tmp_path):
    huge = "é" * (5 << 20)
    body = f"user_id,item_id,interaction_type,timestamp,note\n{huge},i,view,2025-05-01,{huge}\nu,i,view,{huge},x\n"
    first, second = landed_of(write(tmp_path, "f.csv", body)).rows(named=True)
    assert first["user_id"] == "é" * (32 * 1024)
    assert first["problem"] is None
    assert json.loads(first["context"]) == {"note": huge}
    assert second["problem"] == "timestamp.readable"
    assert len(second["raw"].encode()) <= 64 * 1024


def test_constants_and_first_of(tmp_path):
    mapping = mapping_of(
        '[constants]\ninteraction_type = "view"\nrating = 3\n[first_of]\nitem_id = "|"\n'
    )
    path = write(tmp_path, "f.csv", "user_id,item_id,timestamp\nu,a|b,2025-05-01\n")
    row = landed_of(path, mapping).row(0, named=True)
    assert (row["item_id"], row["interaction_type"], row["rating"]) == ("a", "view", 3.0)
    assert json.loads(row["context"]) == {"item_id": "a|b"}


ITEM = "item_id,title,category,price,updated_at,available,size\n"


def test_items_land_with_their_fields(tmp_path):
    body = ITEM + (
        "a,A,Audio,1.50,2025-03-04T05:06:07Z,no,XL\n"
        "b,B,Audio,,,,\n"
        "c,C,Audio,cheap,,,\n"
        "d,D,Audio,1,,perhaps,\n"
        "e,E,Audio,1,last week,,\n"
        "f,F,Audio,1,2300-01-01,,\n"
        "g,G,Audio,1,2025-06-02,,\n"
        ",H,,-1,,YES,\n"
    )
    landed = landed_of(write(tmp_path, "f.csv", body), mapping_of(None, "items"))
    assert landed.schema == SCHEMAS["items"]
    got = landed.select("item_id", "price", "available", "problem", "parked", "date").rows()
    today = RECEIVED.date()
    assert got == [
        ("a", 1.5, False, None, False, date(2025, 3, 4)),
        ("b", None, True, None, False, START),
        ("c", None, True, "price.readable", False, START),
        ("d", 1.0, None, "available.readable", False, START),
        ("e", 1.0, True, "updated_at.readable", True, today),
        ("f", 1.0, True, "timestamp.range", True, today),
        ("g", 1.0, True, "timestamp.not_future", True, today),
        (None, -1.0, True, None, False, START),
    ]
    assert json.loads(landed["attributes"][0]) == {"size": "XL"}


def test_the_day_of_a_version_without_a_time(tmp_path):
    path = write(tmp_path, "f.csv", "item_id,title,category\nold,T,C\nnew,T,C\n")
    mapping = mapping_of(None, "items")
    known = pl.Series("item_id", ["old"])
    landed = landed_of(path, mapping, known_items=known)
    assert landed["date"].to_list() == [RECEIVED.date(), START]
    landed = landed_of(path, mapping, known_items=known, as_of=date(2025, 2, 3))
    assert landed["date"].to_list() == [date(2025, 2, 3)] * 2


@LAX
@given(st.lists(st.sampled_from([GOOD, "u,i\n", "\n", 'u,"i\n', "u,i,view,x\n"]), max_size=40))
def test_every_line_lands_once(tmp_path, lines):
    landed = landed_of(write(tmp_path, "f.csv", HEADER + "".join(lines)))
    expected = [n for n, line in enumerate(lines, start=2) if line != "\n"]
    covered = landed["position"].to_list()
    assert len(set(covered)) == len(covered)
    assert set(covered) <= set(expected)
    swallowed = len(expected) - len(covered)
    assert swallowed == 0 or 'u,"i\n' in lines
    assert (landed["problem"].is_in(PARKING_PROBLEMS) == landed["parked"]).drop_nulls().all()
