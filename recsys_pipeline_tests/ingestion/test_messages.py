"""One landing row per message, under the tenant that a plain reading of it gives."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.ingestion.messages import MessageRows, MessageSource, header_tenant
from recsys_pipeline.schemas.landing import LandedInteraction
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.storage.erased import Erased, subject_of
from recsys_pipeline_tests.landed import settings_for

NOW = datetime(2025, 3, 1, tzinfo=UTC)
ALLOWED = ("acme", "beta")
NOBODY = Erased()
NAMES = st.sampled_from(["acme", "beta", "gamma", "Bad Name", "unassigned", "", None, 7, ["x"]])


def source(kind="interactions", allowed=ALLOWED) -> MessageSource:
    return MessageSource(kind, "kafka/c/t/id/0", "kafka:t/0", NOW, date(2025, 1, 1), allowed)


def rows(values, offsets=None, headers=None, kind="interactions", allowed=ALLOWED, erased=NOBODY):
    settings = settings_for("nowhere")
    known = pl.Series([], dtype=pl.String)
    made = MessageRows(settings, source(kind, allowed), lambda _: known, erased)
    count = len(values)
    return made.rows(values, offsets or list(range(count)), headers or [None] * count)


@st.composite
def sent(draw):
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([b"", b"?", b"[1]", b'"x"', b"{", b"null", b"\xff", b"NaN"]))
    fields = {"user_id": "u1", "item_id": draw(st.text(max_size=3)), "extra": draw(st.integers())}
    if draw(st.booleans()):
        fields["timestamp"] = draw(st.sampled_from(["2025-01-05T10:00:00Z", "soon", None]))
    if draw(st.booleans()):
        fields["tenant"] = draw(NAMES)
    return json.dumps(fields).encode()


def expected(value, header):  # noqa: PLR0911  # one for each rule
    """Return (tenant, problem of the message itself)."""
    try:
        fields = json.loads(value, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return "unassigned", "line.readable"
    if not isinstance(fields, dict):
        return "unassigned", "line.readable"
    field = fields.get("tenant")
    field = (
        str(field)
        if isinstance(field, int)
        else json.dumps(field)
        if field and not isinstance(field, str)
        else field
    )
    field = field or None
    if field and header and field != header:
        return "unassigned", "tenant.agrees"
    name = field or header
    if name is None:
        return "unassigned", "tenant.present"
    if name in ("Bad Name", "unassigned", "7", '["x"]'):
        return "unassigned", "tenant.form"
    if name not in ALLOWED:
        return "unassigned", "tenant.allowed"
    return name, None


@given(st.lists(st.tuples(sent(), st.sampled_from([None, "acme", "beta", "gamma"])), max_size=12))
def test_each_message_is_one_row_of_its_tenant(messages):
    values = [value for value, _ in messages]
    headers = [header for _, header in messages]
    offsets = [5 + 3 * n for n in range(len(values))]
    found = rows(values, offsets, headers)
    assert found.schema == frame_schema(LandedInteraction)
    by_offset = {row["position"]: row for row in found.iter_rows(named=True)}
    assert sorted(by_offset) == offsets
    assert found.height == len(offsets)
    for offset, value, header in zip(offsets, values, headers, strict=True):
        row = by_offset[offset]
        tenant, problem = expected(value, header)
        assert row["tenant"] == tenant
        if problem:
            assert row["problem"] == problem
            assert row["parked"]
            assert row["date"] == NOW.date()
            if value.isascii():
                assert row["raw"] == value.decode()
        else:
            assert not (row["problem"] or "").startswith("tenant")
            assert "tenant" not in (row["context"] or "")


def test_what_is_the_same_for_all():
    found = rows([b'{"tenant":"acme","user_id":"u"}', b"?"])
    assert found["batch_id"].unique().to_list() == ["kafka/c/t/id/0"]
    assert found["source"].unique().to_list() == ["kafka:t/0"]
    assert found["received_at"].unique().to_list() == [NOW]


def test_an_object_of_a_tenant_and_nothing_else():
    found = rows([b'{"tenant":"acme"}'])
    assert found.select("tenant", "problem").row(0) == ("acme", "timestamp.readable")


def test_no_messages():
    assert rows([]).is_empty()


def test_headers():
    assert header_tenant([("tenant", b"acme")]) == "acme"
    assert header_tenant([("tenant", "acme"), ("other", b"x")]) == "acme"
    assert header_tenant([("tenant", b"acme"), ("tenant", b"beta")]) == "beta"
    assert header_tenant([("tenant", b""), ("x", None)]) is None
    assert header_tenant([]) is None


def test_messages_of_nobody_say_nothing_of_who_was_erased():
    erased = Erased(b"key", {"acme": {subject_of("acme", b"key", "u1", None): "2025-01-01"}})
    sent = [
        b'{"user_id": "u1", "item_id": "i1"}',
        b'{"user_id": "u1", "item_id": "i1", "tenant": "gamma"}',
        b'{"user_id": "u1", "item',
        b'{"user_id": "u11", "item_id": "i1"}',
    ]
    made = rows(sent, erased=erased).sort("position")
    assert set(made["tenant"]) == {"unassigned"}
    assert made["raw"].to_list() == [None, None, None, sent[3].decode()]
    assert made["problem"].to_list() == ["user_id.erased"] * 3 + ["tenant.present"]
