from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from recsys_pipeline.api.app import create_app
from recsys_pipeline.metadata.keys import find_key, list_keys, revoke_key
from recsys_pipeline_tests.api.conftest import client_of
from recsys_pipeline_tests.api.test_uploads import EVENTS, GOOD, landed, upload

OPEN = {"/", "/health", "/health/live", "/health/ready", "/docs", "/redoc", "/openapi.json"}


def guarded(app):
    """Every endpoint that is not open, as (method, path)."""
    paths = app.openapi()["paths"]
    return [
        (method.upper(), path.replace("{batch_id}", "b").replace("{data_type}", "items"))
        for path, methods in paths.items()
        for method in methods
        if path not in OPEN
    ]


def test_every_endpoint_but_the_open_ones_wants_a_credential(app):
    client = TestClient(app)
    assert len(guarded(app)) >= 6
    for method, path in guarded(app):
        for headers in ({}, {"Authorization": "Bearer rsk_a_b"}, {"X-API-Key": "x"}):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_scope_is_needed_for_each(app, database):
    reader, uploader = (client_of(app, database, "acme", scope) for scope in ("read", "upload"))
    assert upload(reader, GOOD).json()["error"] == "no_scope"
    assert upload(uploader, GOOD).status_code == 200
    assert uploader.get("/api/validation/schema/items").status_code == 403
    assert reader.get("/api/validation/schema/items").status_code == 200


def test_a_revoked_key_is_refused_at_once(acme, database):
    assert acme.get("/api/validation/schema/items").status_code == 200
    (key,) = list_keys(database, "acme")
    assert revoke_key(database, key.id)
    assert not revoke_key(database, key.id)
    assert acme.get("/api/validation/schema/items").status_code == 401


def test_a_batch_is_seen_by_its_tenant_alone(acme, beta):
    batch_id = upload(acme, GOOD).json()["batch_id"]
    found = acme.get(f"/api/batches/{batch_id}").json()
    assert (found["state"], found["rows"], found["days"]) == (
        "landed",
        2,
        ["2025-01-01", "2025-01-02"],
    )
    assert beta.get(f"/api/batches/{batch_id}").status_code == 404
    assert acme.get("/api/batches/none").status_code == 404


def test_the_tenant_of_a_row_is_the_credentials_not_the_bodys(acme, settings):
    answer = acme.post(
        "/internal/data/interactions?tenant=beta",
        json=[EVENTS[0] | {"tenant": "beta"}],
        headers={"X-Tenant": "beta"},
    )
    assert answer.status_code == 200
    assert landed(settings)["tenant"].to_list() == ["acme"]


def test_without_credentials_the_header_names_the_tenant(settings):
    client = TestClient(create_app(settings.model_copy(update={"api_auth": "none"})))
    assert upload(client, GOOD).status_code == 401
    assert upload(client, GOOD, headers={"X-Tenant": "No Tenant"}).status_code == 403
    assert upload(client, GOOD, headers={"X-Tenant": "acme"}).status_code == 200


@pytest.mark.parametrize("text", ["", "rsk", "rsk_", "rsk__", "rsk_x_", "Bearer", "rsk_é_é", "\0"])
def test_what_is_no_key_is_none(database, text):
    assert find_key(database, text) is None
