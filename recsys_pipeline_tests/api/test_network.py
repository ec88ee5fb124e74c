"""A hostile network: bodies that don't come, connections that ask for nothing, forged headers."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.request

import anyio
import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from recsys_pipeline.api import connections
from recsys_pipeline.api.app import create_app
from recsys_pipeline.cli.serve import _serve_measures
from recsys_pipeline.errors import SettingsError
from recsys_pipeline.settings import Settings
from recsys_pipeline_tests.api.conftest import client_of
from recsys_pipeline_tests.api.serving import served
from recsys_pipeline_tests.api.test_uploads import CSV, EVENTS, GOOD, landed, upload


def answer_to(app, headers, pieces, pause=0.0):
    """Send the pieces of a body, each after a pause; return status and body of the answer."""
    sent = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/internal/data/interactions",
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
    }
    left = list(pieces)

    async def receive():
        await asyncio.sleep(pause)
        if not left:
            await asyncio.sleep(60)
        piece = left.pop(0)
        more = bool(left) or piece is pieces[-1]
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(message):
        sent.append(message)

    anyio.run(app, scope, receive, send)
    headers = dict(sent[0]["headers"])
    return sent[0]["status"], json.loads(sent[1]["body"]), headers


@pytest.mark.parametrize("pieces", [[b""], [b"["], [json.dumps(EVENTS).encode()]])
def test_a_body_that_stops_coming_is_given_up_and_leaves_nothing(settings, pieces):
    chosen = settings.model_copy(update={"api_body_seconds": 0.2})
    app = create_app(chosen)
    acme = client_of(app, app.state.context.database, "acme")
    status, body, headers = answer_to(app, dict(acme.headers), pieces)
    assert (status, body["error"]) == (408, "too_slow")
    assert headers[b"connection"] == b"close"
    assert landed(chosen).is_empty()
    assert upload(acme, GOOD).status_code == 200, "its place is free again"


def test_a_body_that_trickles_is_given_up(settings):
    app = create_app(settings.model_copy(update={"api_body_seconds": 0.3}))
    acme = client_of(app, app.state.context.database, "acme")
    status, _, _ = answer_to(app, dict(acme.headers), [b"["] + [b" "] * 1000, pause=0.01)
    assert status == 408


def test_connections_that_ask_for_nothing_are_closed(app, acme, monkeypatch):
    monkeypatch.setattr(connections, "SECONDS", 0.2)
    with served(app) as port:
        silent, slow, busy = (socket.create_connection(("127.0.0.1", port), 5) for _ in range(3))
        slow.sendall(b"GET / HTTP/1.1\r\nX-")
        busy.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert busy.recv(100).startswith(b"HTTP/1.1 200")
        for connection in (silent, slow):
            assert connection.recv(100) == b""
        busy.settimeout(5)
        while busy.recv(1000):  # the rest of its answer; then it asks for nothing either
            pass


def test_a_request_that_takes_its_time_keeps_its_connection(app, acme, monkeypatch):
    monkeypatch.setattr(connections, "SECONDS", 0.05)
    head = (
        "POST /internal/data/interactions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n"
        f"Authorization: {acme.headers['Authorization']}\r\n\r\n"
    )
    body = json.dumps(EVENTS)
    with served(app) as port, socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(head.format(len(body)).encode() + body[:10].encode())
        time.sleep(0.4)
        connection.sendall(body[10:].encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_a_head_without_end_is_refused(app):
    with served(app) as port, socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 200_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def seen_client(settings, caplog, headers):
    app = create_app(settings)
    client = TestClient(app, client=("10.0.0.1", 1))
    with caplog.at_level("INFO", "recsys.api"):
        caplog.clear()
        client.get("/health/live", headers=headers)
    return caplog.records[-1].client


def test_forwarded_headers_count_only_from_named_proxies(settings, caplog, monkeypatch):
    monkeypatch.setattr("recsys_pipeline.api.app.log_json", lambda: None)
    forged = {"X-Forwarded-For": "6.6.6.6"}
    assert seen_client(settings, caplog, forged) == "10.0.0.1"
    named = settings.model_copy(update={"api_proxies": ("10.0.0.0/24",)})
    assert seen_client(named, caplog, forged) == "6.6.6.6"
    other = settings.model_copy(update={"api_proxies": ("10.0.1.0/24",)})
    assert seen_client(other, caplog, forged) == "10.0.0.1"


@pytest.mark.parametrize("name", ["*", "proxy.internal", ""])
def test_a_proxy_is_an_address(name):
    with pytest.raises(ValidationError, match="api_proxies"):
        Settings(_env_file=None, api_proxies=(name,))


def preflight(app):
    return TestClient(app).options(
        "/internal/data/interactions",
        headers={"Origin": "https://shop.test", "Access-Control-Request-Method": "POST"},
    )


def test_pages_of_other_origins_are_kept_out_unless_they_are_named(settings, app):
    closed = preflight(app)
    assert closed.status_code == 405
    assert not [name for name in closed.headers if name.startswith("access-control")]
    chosen = settings.model_copy(update={"api_cors_origins": ("https://shop.test",)})
    opened = preflight(create_app(chosen))
    assert opened.headers["Access-Control-Allow-Origin"] == "https://shop.test"
    other = settings.model_copy(update={"api_cors_origins": ("https://other.test",)})
    assert "Access-Control-Allow-Origin" not in preflight(create_app(other)).headers


def test_an_upload_of_too_many_days_is_refused_whole(settings):
    chosen = settings.model_copy(update={"api_max_days": 2})
    app = create_app(chosen)
    acme = client_of(app, app.state.context.database, "acme")
    days = [f"u1,i1,view,2025-01-{day:02d}T10:00:00Z,\n" for day in range(1, 4)]
    for headers in ({}, {"Idempotency-Key": "k"}):
        answer = upload(acme, CSV.splitlines()[0] + "\n" + "".join(days), headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (422, "too_many_days")
    assert landed(chosen).is_empty()
    assert upload(acme, GOOD, headers={"Idempotency-Key": "k"}).status_code == 200


def test_the_port_of_measures_tells_those_of_all_tenants(acme, beta):
    upload(acme, GOOD)
    upload(beta, GOOD)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _serve_measures("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert 'tenant="acme"' in text
    assert 'tenant="beta"' in text
    with pytest.raises(SettingsError, match="RECSYS_API_METRICS_PORT"):
        _serve_measures("127.0.0.1", port)
