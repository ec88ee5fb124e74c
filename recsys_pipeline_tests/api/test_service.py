from __future__ import annotations

import json
import logging
import os
import re

import pytest
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from recsys_pipeline.api.app import create_app
from recsys_pipeline.logs import JsonLines
from recsys_pipeline_tests.api.conftest import client_of
from recsys_pipeline_tests.api.test_uploads import CSV, EVENTS, GOOD, landed, upload


def test_about_and_health(app):
    client = TestClient(app)
    assert client.get("/").json()["service"] == "recsys_pipeline"
    assert client.get("/health/live").json() == {"status": "ok"}
    for path in ("/health", "/health/ready"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert set(answer.json()["parts"]) == {"storage", "metadata"}


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_pages_of_documentation_load_nothing_from_elsewhere(app, path):
    client = TestClient(app)
    page = client.get(path)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    own = [address for address in loaded if "://" not in address]
    assert own
    assert all("redoc" in address for address in loaded if address not in own)  # a link
    assert [client.get(address).status_code for address in own] == [200] * len(own)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_store_that_is_not_there_is_down(settings, tmp_path):
    (tmp_path / "root").mkdir(mode=0o500)
    answer = TestClient(create_app(settings)).get("/health")
    assert answer.status_code == 503


def test_a_store_that_can_not_be_is_down(settings, tmp_path):
    (tmp_path / "root").write_text("a file where a folder should be")
    answer = TestClient(create_app(settings)).get("/health")
    assert answer.status_code == 503
    assert answer.json()["parts"]["storage"]["status"] == "down"


def test_kafka_that_does_not_answer_is_down(settings, monkeypatch):
    monkeypatch.setattr("recsys_pipeline.api.health.SECONDS", 0.5)
    brokers = {"kafka_bootstrap_servers": "127.0.0.1:1"}
    answer = TestClient(create_app(settings.model_copy(update=brokers))).get("/health")
    assert answer.status_code == 503
    assert answer.json()["parts"]["kafka"]["status"] == "down"


def test_a_sample_is_judged_and_nothing_is_stored(acme, settings):
    bad = EVENTS[0] | {"rating": 7}
    answer = acme.post("/api/validation/validate?data_type=interactions", json=[*EVENTS, bad])
    assert answer.json()["rows_rejected"] == 1
    assert answer.json()["errors"][0]["rule"] == "rating.range"
    assert landed(settings).is_empty()


def test_the_contract_is_json_schema(acme):
    schema = acme.get("/api/validation/schema/interactions").json()
    assert schema["required"] == ["user_id", "item_id", "interaction_type", "timestamp"]
    assert schema["properties"]["timestamp"]["format"] == "date-time"
    assert "must be from 0 to 5" in schema["properties"]["rating"]["rules"]
    assert "tenant" not in schema["properties"]
    assert acme.get("/api/validation/schema/users").status_code == 422


def test_answers_carry_an_id_and_careful_headers(acme):
    answer = acme.get("/health/live", headers={"X-Request-ID": "abc-1"})
    assert answer.headers["X-Request-ID"] == "abc-1"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Strict-Transport-Security" not in answer.headers
    secure = acme.get("https://testserver/health/live")
    assert "Strict-Transport-Security" in secure.headers
    odd = acme.get("/health/live", headers={"X-Request-ID": "a b\t"})
    assert odd.headers["X-Request-ID"] not in {"a b\t", ""}


def test_measures_are_for_operators(acme, app, database):
    upload(acme, CSV)
    assert acme.get("/metrics").status_code == 403
    text = client_of(app, database, "acme", "admin").get("/metrics").text
    assert 'recsys_uploads_total{kind="interactions",outcome="landed",tenant="acme"}' in text
    assert 'recsys_api_requests_total{status="200"}' in text
    assert 'outcome="rejected",reason="rating.range"' not in text  # its first reason counts
    assert 'outcome="rejected",reason="interaction_type.allowed",tenant="acme"}' in text


def test_an_operator_of_one_tenant_sees_no_other(acme, beta, app, database):
    upload(acme, GOOD)
    upload(beta, GOOD)
    text = client_of(app, database, "beta", "admin").get("/metrics").text
    assert 'tenant="beta"' in text
    assert 'tenant="acme"' not in text
    assert "recsys_upload_seconds_count" in text


def test_logs_are_json_without_rows_and_secrets(acme, monkeypatch):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(JsonLines().format(record))
    logger = logging.getLogger("recsys.api")
    logger.addHandler(handler)
    try:
        upload(acme, CSV)
        monkeypatch.setattr("recsys_pipeline.api.uploads.land", lambda *_: 1 / 0)
        upload(acme, CSV)
    finally:
        logger.removeHandler(handler)
    records = [json.loads(line) for line in lines]
    assert [r["status"] for r in records if "status" in r] == [200, 500]
    assert any(r.get("error") == "ZeroDivisionError" for r in records)
    assert all(r["request_id"] for r in records)
    assert [r["tenant"] for r in records if "status" in r] == ["acme", "acme"]
    assert "glance" not in str(lines)
    assert acme.headers["Authorization"].removeprefix("Bearer ") not in str(lines)


def test_an_upload_that_has_landed_is_answered_so_without_the_audit_log(acme, monkeypatch):
    def fail(*_):
        raise OperationalError("insert", {}, Exception("disk full"))

    monkeypatch.setattr("recsys_pipeline.api.accounts.record", fail)
    assert upload(acme, CSV).json()["rows_landed"] == 2


def test_a_database_that_fails_is_said_to_be_busy(acme, monkeypatch):
    def fail(*_):
        raise OperationalError("select", {}, Exception("locked"))

    monkeypatch.setattr("recsys_pipeline.api.callers.find_key", fail)
    answer = upload(acme, CSV)
    assert (answer.status_code, answer.json()["error"]) == (503, "metadata")
    assert answer.headers["Retry-After"] == "1"


def test_a_failure_of_ours_has_no_traceback(acme, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("recsys_pipeline.api.uploads.land", fail)
    answer = upload(acme, CSV)
    assert answer.status_code == 500
    assert answer.json()["error"] == "internal"
    assert "Traceback" not in answer.text
