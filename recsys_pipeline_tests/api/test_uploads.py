from __future__ import annotations

import gzip
import json
import os
import tempfile
import threading
from contextlib import ExitStack
from datetime import date

import anyio
import polars as pl
import pytest
from sqlalchemy import update

from recsys_pipeline.api.spool import spooled, sweep_spools
from recsys_pipeline.metadata.audit import entries
from recsys_pipeline.metadata.tables import UPLOADS
from recsys_pipeline.storage.erased import remember
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store

CSV = (
    "user_id,item_id,interaction_type,timestamp,rating\n"
    "u1,i1,view,2025-01-01T10:00:00Z,4.5\n"
    "u2,i2,click,2025-01-02T10:00:00Z,\n"
    "u3,,view,2025-01-02T11:00:00Z,\n"
    "u4,i4,glance,2025-01-02T12:00:00Z,9\n"
    "u5,i5,view,yesterday,\n"
)
GOOD = "\n".join(CSV.splitlines()[:3]) + "\n"
EVENTS = [
    {"user_id": "u1", "item_id": "i1", "interaction_type": "view", "timestamp": "2025-01-01T10:00:00Z"},
    {"user_id": "u2", "item_id": "i2", "interaction_type": "like", "timestamp": "2025-01-03T10:00:00Z"},
]  # fmt: skip
ITEMS = [{"item_id": "i1", "title": "Kettle", "category": "Kitchen", "price": 20}]


def upload(client, text=CSV, kind="interactions", headers=None, **form):
    content = text if isinstance(text, bytes) else text.encode()
    return client.post(
        "/internal/data/upload-csv",
        files={"file": ("events.csv", content, "text/csv")},
        data={"data_type": kind, **form},
        headers=headers or {},
    )


def landed(settings, kind="interactions"):
    return Landing(settings.storage_root, kind).snapshot().scan().collect()


def test_good_rows_land_and_bad_ones_are_told_by_row(acme, settings, database):
    answer = upload(acme)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["rows_received"], body["rows_landed"], body["rows_rejected"]) == (5, 2, 3)
    assert body["days"][:2] == ["2025-01-01", "2025-01-02"]
    assert body["errors"] == [
        {"row": 4, "column": "item_id", "rule": "item_id.required", "message": "must be present"},
        {
            "row": 5,
            "column": "interaction_type",
            "rule": "interaction_type.allowed",
            "message": "must be one of view, click, like, add_to_cart, purchase",
        },
        {"row": 5, "column": "rating", "rule": "rating.range", "message": "must be from 0 to 5"},
        {
            "row": 6,
            "column": "timestamp",
            "rule": "timestamp.readable",
            "message": "must be a readable time",
        },
    ]
    rows = landed(settings)
    assert rows.height == 5
    assert rows["tenant"].unique().to_list() == ["acme"]
    assert rows["batch_id"].unique().to_list() == [body["batch_id"]]
    (entry,) = entries(database, "acme")
    assert (entry.action, entry.target, entry.outcome) == (
        "upload interactions",
        body["batch_id"],
        "landed",
    )
    assert entry.request_id == answer.headers["X-Request-ID"]


def test_reject_lands_all_or_nothing(acme, settings):
    answer = upload(acme, on_error="reject")
    assert answer.status_code == 422
    assert answer.json()["rows_rejected"] == 3
    assert answer.json()["error"] == "rows_rejected"
    assert landed(settings).is_empty()
    assert upload(acme, GOOD, on_error="reject").status_code == 200
    assert landed(settings).height == 2


def test_rows_of_who_was_erased_refuse_nothing_and_land_empty(acme, settings):
    objects = open_store(settings.storage_root)
    remember(objects, "acme", frozenset({("u1", None)}), "2025-01-01T00:00:00+00:00")
    answer = upload(acme, GOOD, on_error="reject")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["rows_landed"], body["rejected_by_rule"]) == (1, {"user_id.erased": 1})
    assert sorted(landed(settings)["user_id"], key=str) == [None, "u2"]
    assert "u1" not in landed(settings).write_ndjson()


@pytest.mark.parametrize("lines", [False, True])
def test_json_arrays_and_lines(acme, settings, lines):
    text = "\n".join(map(json.dumps, EVENTS)) if lines else json.dumps(EVENTS)
    answer = acme.post("/internal/data/interactions", content=text)
    assert answer.status_code == 200, answer.text
    assert answer.json()["rows_landed"] == 2
    assert sorted(landed(settings)["date"]) == [date(2025, 1, 1), date(2025, 1, 3)]


def test_items_and_a_snapshot_of_them(acme, settings):
    assert acme.post("/internal/data/items", json=ITEMS).status_code == 200
    other = [ITEMS[0] | {"item_id": "i2"}]
    answer = acme.post("/internal/data/items?mode=snapshot", json=other)
    assert answer.status_code == 200, answer.text
    newest = landed(settings, "items").sort("received_at").group_by("item_id").last()
    assert dict(newest.select("item_id", "available").iter_rows()) == {"i1": False, "i2": True}


def test_gzip_is_accepted(acme):
    packed = gzip.compress(GOOD[:60].encode()) + gzip.compress(GOOD[60:].encode())
    assert upload(acme, packed).json()["rows_landed"] == 2
    body = gzip.compress(json.dumps(EVENTS).encode())
    assert acme.post("/internal/data/interactions", content=body).json()["rows_landed"] == 2


def test_the_same_content_again_changes_nothing(acme, settings):
    first, second = upload(acme).json(), upload(acme).json()
    assert second == first | {"already_landed": True, "notices": second["notices"]}
    assert landed(settings).height == 5


def test_a_key_gets_its_first_answer_and_other_content_is_a_conflict(acme, beta, settings):
    key = {"Idempotency-Key": "order-1"}
    first = upload(acme, headers=key)
    again = upload(acme, headers=key)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = upload(acme, GOOD, headers=key)
    assert other.status_code == 409
    assert other.json()["error"] == "key_reused"
    assert upload(beta, GOOD, headers=key).status_code == 200
    assert landed(settings).height == 7
    # the same content under another key is another upload
    assert upload(acme, headers={"Idempotency-Key": "order-2"}).json()["already_landed"] is False
    assert landed(settings).height == 12


def test_a_refused_upload_gives_its_key_back(acme):
    key = {"Idempotency-Key": "order-1"}
    assert upload(acme, headers=key, on_error="reject").status_code == 422
    assert upload(acme, GOOD, headers=key, on_error="reject").status_code == 200


def test_an_items_key_is_not_the_latest_batch_alone(acme, settings):
    key = {"Idempotency-Key": "catalogue-1"}
    first = acme.post("/internal/data/items", json=ITEMS, headers=key).json()
    acme.post("/internal/data/items", json=[ITEMS[0] | {"price": 25}])
    assert acme.post("/internal/data/items", json=ITEMS, headers=key).json() == first
    assert landed(settings, "items").height == 2


def test_a_key_whose_answer_was_lost_lands_once(acme, database, settings):
    key = {"Idempotency-Key": "order-1"}
    first = upload(acme, headers=key).json()
    forget_answer(database)
    second = upload(acme, headers=key).json()
    assert second["batch_id"] == first["batch_id"]
    assert second["errors"] == first["errors"]
    assert landed(settings).height == 5


def forget_answer(database):
    with database.begin() as connection:
        connection.execute(update(UPLOADS).values(answer=None))


def test_a_key_that_has_landed_stays_though_a_repeat_is_refused(acme, database, settings):
    key = {"Idempotency-Key": "order-1"}
    upload(acme, headers=key)
    forget_answer(database)
    settings.tenants_file.write_text("not TOML")
    assert upload(acme, headers=key).status_code >= 400
    settings.tenants_file.unlink()
    assert upload(acme, GOOD, headers=key).status_code == 409
    assert upload(acme, headers=key).json()["already_landed"] is True
    assert landed(settings).height == 5


def test_other_content_is_a_conflict_even_where_the_key_is_not_known_any_more(
    acme, database, settings
):
    key = {"Idempotency-Key": "order-1"}
    upload(acme, headers=key)
    with database.begin() as connection:
        connection.execute(UPLOADS.delete())
    assert upload(acme, GOOD, headers=key).status_code == 409
    assert landed(settings).height == 5


def test_a_key_lands_once_though_the_tenants_mapping_changes(acme, database, settings):
    key = {"Idempotency-Key": "order-1"}
    first = upload(acme, GOOD, headers=key).json()
    forget_answer(database)
    mapping = settings.tenants_file.parent / "words.toml"
    mapping.write_text('[events]\nviewed = "view"\n')
    settings.tenants_file.write_text(f'[tenants.acme]\nmapping = "{mapping}"\n')
    second = upload(acme, GOOD, headers=key)
    if second.status_code == 200:  # a mapping that can't be loaded refuses; either way once
        assert second.json()["batch_id"] == first["batch_id"]
    assert landed(settings).height == 2


def test_a_withdrawn_batch_may_come_again_under_its_key(acme, settings):
    key = {"Idempotency-Key": "order-1"}
    first = upload(acme, GOOD, headers=key).json()
    Landing(settings.storage_root, "interactions").retract(first["batch_id"])
    second = upload(acme, GOOD, headers=key).json()
    assert second["batch_id"] != first["batch_id"]
    assert landed(settings).height == 2
    assert upload(acme, GOOD, headers=key).json() == second


def test_an_empty_key_is_refused(acme):
    assert upload(acme, headers={"Idempotency-Key": ""}).json()["error"] == "bad_key"


def test_a_form_has_one_file_and_few_fields(acme, settings):
    files = [("file", ("a.csv", GOOD)), ("other", ("b.csv", GOOD))]
    two = acme.post("/internal/data/upload-csv", files=files, data={"data_type": "interactions"})
    assert two.status_code == 400
    many = {f"f{n}": "x" for n in range(50)} | {"data_type": "interactions"}
    assert upload(acme, kind="interactions", **many).status_code == 400
    none = acme.post("/internal/data/upload-csv", data={"data_type": "interactions"})
    assert none.json()["error"] == "no_file"
    odd = upload(acme, kind="users")
    assert (odd.status_code, odd.json()["error"]) == (422, "invalid_request")
    assert landed(settings).is_empty()


def test_json_of_too_many_columns_is_refused(acme, settings):
    wide = [EVENTS[0] | {f"c{n}": n for n in range(2000)}]
    answer = acme.post("/internal/data/interactions", json=wide)
    assert answer.status_code == 422
    assert "/tmp" not in answer.text
    assert landed(settings).is_empty()


def test_a_body_may_come_in_pieces_of_any_size():
    async def judged(body, size):
        async def pieces():
            for begin in range(0, len(body), size):
                yield body[begin : begin + size]

        async with spooled(pieces(), "csv", 2**20) as found:
            return found.path.read_bytes()

    packed = gzip.compress(GOOD[:60].encode()) + gzip.compress(GOOD[60:].encode())
    for size in (1, 2, 3, 50, 1000):
        assert anyio.run(judged, packed, size) == GOOD.encode()
        assert anyio.run(judged, GOOD.encode(), size) == GOOD.encode()


def test_what_a_killed_service_left_of_bodies_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, new = tmp_path / "recsys-upload-old", tmp_path / "recsys-upload-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "upload.csv").write_text("a,b\n")
    for path in (old / "upload.csv", old):
        os.utime(path, (0, 0))
    assert sweep_spools(3600) == 1
    assert list(tmp_path.iterdir()) == [new]


def test_posts_at_the_same_time_land_once(acme, settings):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(upload(acme, GOOD))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["batch_id"] for answer in answers}) == 1
    assert landed(settings).height == 2


def test_uploads_land_whole_days_for_every_path(acme, settings):
    upload(acme, GOOD)
    rows = landed(settings)
    assert rows["source"].unique().to_list() == ["upload"]
    assert rows.select(pl.col("position").sort()).to_series().to_list() == [2, 3]


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        (b"", 422, "empty"),
        (b"PAR1" + bytes(100), 415, "not_text"),
        (b"user_id,item_id\n\0\0\0,1\n", 415, "not_text"),
        (b"a,b\n1,2\n", 422, "columns_do_not_fit"),
        (gzip.compress(GOOD.encode())[:-9], 400, "damaged"),
        (b"\x1f\x8b" + b"nonsense", 400, "damaged"),
        (gzip.compress(b"a,b\n" * 2**20), 413, "too_large"),
        (b"a,b\n" * 2**20, 413, "too_large"),
        (b",".join(b"c%d" % n for n in range(100_000)) + b"\n", 422, "too_many_columns"),
        (b"x" * 2**19, 422, "too_many_columns"),
        (gzip.compress(b"") * 150_000, 413, "too_large"),
        (gzip.compress(b"a,b\n") * 20_000, 422, "columns_do_not_fit"),
    ],
)
def test_what_is_no_csv_is_refused_and_leaves_nothing(acme, settings, text, status, error):
    answer = upload(acme, text)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] == error
    assert landed(settings).is_empty()


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        (b"", 422, "empty"),
        (b"hello", 415, "not_json"),
        (b"[" * 100_000, 422, "unreadable"),
        (b'{"user_id": "u1"', 422, None),
        (b"\xff\xfe\x00", 415, None),
    ],
)
def test_what_is_no_json_is_refused(acme, settings, text, status, error):
    answer = acme.post("/internal/data/interactions", content=text)
    assert answer.status_code in {status, 200}, answer.text
    assert answer.status_code == 200 or error in {None, answer.json()["error"]}
    if answer.status_code == 200:  # a line that can't be read is a row with its reason
        assert answer.json()["rows_landed"] == 0


def test_a_wrong_content_type_is_refused(acme):
    answer = acme.post("/internal/data/items", content=b"[]", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 415


def test_a_body_that_has_to_wait_is_not_read_before(acme, app):
    context = app.state.context
    body = b"no form at all"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    path = "/internal/data/upload-csv"
    assert acme.post(path, content=body, headers=headers).status_code == 400
    with ExitStack() as under_way:
        for _ in range(4):
            under_way.enter_context(context.upload_of("acme"))
        assert acme.post(path, content=body, headers=headers).status_code == 429


def test_too_many_uploads_of_a_tenant_wait_their_turn(acme, beta, app):
    context = app.state.context
    with context.upload_of("acme"), context.upload_of("acme"), context.upload_of("acme"):
        assert upload(acme, GOOD).status_code == 200
        with context.upload_of("acme"):
            answer = upload(acme)
            assert answer.status_code == 429
            assert answer.headers["Retry-After"] == "1"
            assert upload(beta, GOOD).status_code == 200
    assert upload(acme).status_code == 200
