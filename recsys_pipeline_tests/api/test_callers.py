from __future__ import annotations

import base64
import hmac
import json
import time

import jwt
import polars as pl
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr
from starlette.testclient import TestClient

from recsys_pipeline.api.app import create_app
from recsys_pipeline.api.tokens import _jwks
from recsys_pipeline.errors import SettingsError
from recsys_pipeline.metadata.keys import find_key, list_keys, revoke_key
from recsys_pipeline.tenants import overrides
from recsys_pipeline_tests.api.conftest import client_of
from recsys_pipeline_tests.api.test_uploads import EVENTS, GOOD, landed, upload

OPEN = {"/", "/health", "/health/live", "/health/ready", "/docs", "/redoc", "/openapi.json"}


def guarded(app, batch_id="b", data_type="items"):
    """Every endpoint that is not open, as (method, path)."""
    paths = app.openapi()["paths"]
    return [
        (method.upper(), path.format(batch_id=batch_id, data_type=data_type, tenant="acme"))
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


def test_no_endpoint_tells_or_changes_anything_of_another_tenant(app, database, acme, settings):
    """Every endpoint, with every scope of another tenant's credential."""
    settings.tenants_file.write_text("[tenants.acme]\nnegative_ratio = 7\n")
    batch_id = upload(acme, GOOD).json()["batch_id"]
    before = landed(settings)
    beta = client_of(app, database, "beta", "upload", "read", "admin")
    csv = ("acme.csv", GOOD.replace("u1", "beta-user").encode(), "text/csv")
    for method, path in guarded(app, batch_id=batch_id, data_type="interactions"):
        body = {"files": {"file": csv}, "data": {"data_type": "interactions"}}
        if "upload-csv" not in path:
            body = {"json": [EVENTS[0] | {"tenant": "acme", "item_id": "i"}]}
        if method == "PUT":
            body = {"json": {"negative_ratio": 1}}
        if method == "GET":
            body = {}
        headers = {"X-Tenant": "acme", "Idempotency-Key": "k"}
        answer = beta.request(
            method, f"{path}?tenant=acme&data_type=interactions", headers=headers, **body
        )
        assert answer.status_code < 500, (method, path)
        if "/acme" in path:
            assert answer.status_code == 403, (method, path)
        elif batch_id in path:
            assert answer.status_code == 404, (method, path)
        else:
            assert batch_id not in answer.text, (method, path)
            assert 'tenant="acme"' not in answer.text, (method, path)
    assert landed(settings).filter(pl.col("tenant") == "acme").equals(before)
    assert overrides(settings)["acme"].negative_ratio == 7


def token_settings(settings, **values):
    chosen = {"api_jwt_algorithm": "HS256", "api_jwt_audience": "recsys", "api_jwt_key": SECRET}
    return settings.model_copy(update=chosen | values)


SECRET = SecretStr("a shared secret of the issuer, long enough for HS256")


def token(claims=None, key=None, algorithm="HS256", **headers):
    good = {"exp": time.time() + 60, "aud": "recsys", "tenant": "acme", "scope": "upload read"}
    chosen = {n: v for n, v in (good | (claims or {})).items() if v is not None}
    return jwt.encode(chosen, key or SECRET.get_secret_value(), algorithm, headers=headers)


def asked(client, text):
    headers = {"Authorization": f"Bearer {text}"}
    return client.get("/api/validation/schema/items", headers=headers).status_code


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 200),
        ({"scope": None, "scopes": ["read"]}, 200),
        ({"scope": "upload"}, 403),
        ({"scope": 7}, 401),
        ({"exp": 1_000}, 401),
        ({"exp": None}, 401),
        ({"aud": "other"}, 401),
        ({"aud": None}, 401),
        ({"tenant": None}, 401),
        ({"tenant": ["acme"]}, 401),
        ({"tenant": "No Tenant"}, 403),
        ({"nbf": time.time() + 1000}, 401),
    ],
)
def test_a_token_is_good_when_its_claims_are(settings, claims, status):
    assert asked(TestClient(create_app(token_settings(settings))), token(claims)) == status


def test_a_tokens_algorithm_is_the_keys_not_its_own_word(settings):
    rsa_key = rsa.generate_private_key(65_537, 2048)
    encoding = serialization.Encoding.PEM
    private = rsa_key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = rsa_key.public_key().public_bytes(
        encoding, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    chosen = token_settings(
        settings, api_jwt_algorithm="RS256", api_jwt_key=SecretStr(public.decode())
    )
    client = TestClient(create_app(chosen))
    assert asked(client, token(key=private, algorithm="RS256")) == 200
    assert asked(client, token()) == 401
    assert asked(client, jwt.encode({"tenant": "acme"}, None, "none")) == 401
    # the public key as if it were a shared secret
    head, body, _ = token().split(".")
    signed = f"{head}.{body}".encode()
    mac = hmac.new(public, signed, "sha256").digest()
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert asked(client, forged) == 401


def test_keys_of_an_issuer_may_be_rotated(settings, monkeypatch):
    pairs = {name: rsa.generate_private_key(65_537, 2048) for name in ("one", "two")}
    published = ["one"]

    def fetched(self):
        keys = []
        for name in published:
            own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(pairs[name].public_key()))
            keys.append(own | {"kid": name, "use": "sig"})
        found = {"keys": keys}
        self.jwk_set_cache.put(found)
        return found

    monkeypatch.setattr(jwt.PyJWKClient, "fetch_data", fetched)
    chosen = token_settings(
        settings,
        api_jwt_algorithm="RS256",
        api_jwt_key=None,
        api_jwt_jwks_url="https://issuer.test/keys",
    )
    client = TestClient(create_app(chosen))
    old, new = (token(key=pairs[n], algorithm="RS256", kid=n) for n in ("one", "two"))
    assert asked(client, old) == 200
    assert asked(client, new) == 401
    published[:] = ["two"]
    # an unknown key is asked for every 30 s at most
    _jwks(str(chosen.api_jwt_jwks_url))._last_successful_fetch -= 31
    assert asked(client, new) == 200


@pytest.mark.parametrize(
    "values",
    [
        {"api_jwt_audience": None},
        {"api_jwt_key": None},
        {"api_jwt_jwks_url": "https://issuer.test/keys"},
        {"api_jwt_algorithm": None},
        {"api_jwt_key": None, "api_jwt_jwks_url": "https://issuer.test/keys"},
    ],
)
def test_settings_of_tokens_must_go_together(settings, values):
    with pytest.raises(SettingsError, match="RECSYS_API_JWT"):
        create_app(token_settings(settings, **values))


def test_a_tenant_that_asks_too_often_waits(settings, monkeypatch):
    app = create_app(settings.model_copy(update={"api_requests_per_minute": 3}))
    database = app.state.context.database
    monkeypatch.setattr("recsys_pipeline.api.callers.time.time", lambda: 600.5)
    acme, beta = client_of(app, database, "acme"), client_of(app, database, "beta")
    path = "/api/validation/schema/items"
    assert [acme.get(path).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert acme.get(path).headers["Retry-After"] == "60"
    assert beta.get(path).status_code == 200
    monkeypatch.setattr("recsys_pipeline.api.callers.time.time", lambda: 660.5)
    assert acme.get(path).status_code == 200


def test_without_credentials_the_header_names_the_tenant(settings):
    client = TestClient(create_app(settings.model_copy(update={"api_auth": "none"})))
    assert upload(client, GOOD).status_code == 401
    assert upload(client, GOOD, headers={"X-Tenant": "No Tenant"}).status_code == 403
    assert upload(client, GOOD, headers={"X-Tenant": "acme"}).status_code == 200


@pytest.mark.parametrize("text", ["", "rsk", "rsk_", "rsk__", "rsk_x_", "Bearer", "rsk_é_é", "\0"])
def test_what_is_no_key_is_none(database, text):
    assert find_key(database, text) is None
