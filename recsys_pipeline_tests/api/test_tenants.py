from __future__ import annotations

import json

import pytest

from recsys_pipeline.api.app import create_app
from recsys_pipeline.metadata.audit import entries
from recsys_pipeline.tenants import TenantOverrides, overrides
from recsys_pipeline_tests.api.conftest import client_of
from recsys_pipeline_tests.api.test_uploads import ITEMS


@pytest.fixture
def operator(app, database):
    return client_of(app, database, "acme", "admin", "upload")


def test_a_configuration_is_read_and_replaced(operator, settings, database):
    first = operator.get("/api/tenants/acme").json()
    assert first["effective"]["negative_ratio"] == settings.negative_ratio
    assert set(first["own"].values()) == {None}
    answer = operator.put("/api/tenants/acme", json={"negative_ratio": 9, "categories": ["Audio"]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == operator.get("/api/tenants/acme").json()
    assert answer.json()["effective"]["negative_ratio"] == 9
    assert overrides(settings)["acme"] == TenantOverrides(negative_ratio=9, categories=("Audio",))
    posted = operator.post("/internal/data/items", json=ITEMS)  # Kitchen is not in the list
    assert posted.json()["rejected_by_rule"] == {"category.allowed": 1}
    assert operator.put("/api/tenants/acme", json={}).json()["own"]["negative_ratio"] is None
    told = [(e.actor, e.outcome) for e in entries(database, "acme") if e.action == "configure"]
    assert [outcome for _, outcome in told] == ["replaced", "replaced"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"negative_ratio": -1}', 422),
        ('{"negative_rate": 1}', 422),
        ('{"volume_change_limit": Infinity}', 422),
        ('{"categories": ["\\ud800"]}', 422),
        ('{"mapping": "/etc/passwd"}', 422),
        ("[]", 422),
        ("", 422),
        ("{", 422),
        (json.dumps({"categories": ["x" * 300_000]}), 413),
    ],
)
def test_a_wrong_table_changes_nothing(operator, settings, body, status):
    answer = operator.put("/api/tenants/acme", content=body)
    assert answer.status_code == status, answer.text
    assert not settings.tenants_file.exists()


def test_a_mapping_of_its_own_may_stay(operator, settings):
    settings.tenants_file.write_text('[tenants.acme]\nmapping = "own.toml"\n')
    answer = operator.put("/api/tenants/acme", json={"mapping": "own.toml", "negative_ratio": 1})
    assert answer.status_code == 200
    assert operator.put("/api/tenants/acme", json={"mapping": "movielens"}).status_code == 200
    assert operator.put("/api/tenants/acme", json={"mapping": "own.toml"}).status_code == 422


def test_a_configuration_is_its_tenants_own(app, database, settings):
    beta = client_of(app, database, "beta", "admin")
    for answer in (
        beta.get("/api/tenants/acme"),
        beta.put("/api/tenants/acme", json={"negative_ratio": 0}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (403, "other_tenant")
    assert not settings.tenants_file.exists()


def test_it_is_for_operators(acme):
    assert acme.get("/api/tenants/acme").status_code == 403
    assert acme.put("/api/tenants/acme", json={}).status_code == 403


def test_a_file_that_can_not_be_written_is_said(settings, tmp_path):
    nowhere = {"tenants_file": tmp_path / "none" / "tenants.toml"}
    app = create_app(settings.model_copy(update=nowhere))
    database = app.state.context.database
    answer = client_of(app, database, "acme", "admin").put("/api/tenants/acme", json={})
    assert (answer.status_code, answer.json()["error"]) == (503, "tenants_file")
    assert [entry.outcome for entry in entries(database, "acme")] == ["failed"]
