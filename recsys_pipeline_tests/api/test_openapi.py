"""Anything that the OpenAPI document allows, and much that it doesn't: no 5xx, no answer off the schema."""

from __future__ import annotations

import contextlib

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from recsys_pipeline.api.app import create_app
from recsys_pipeline.metadata.keys import create_key
from recsys_pipeline.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    chosen = Settings(
        _env_file=None,
        storage_root=str(folder / "root"),
        metadata_url=f"sqlite:///{folder}/metadata.db",
        tenants_file=folder / "tenants.toml",
        api_requests_per_minute=1_000_000,
    )
    app = create_app(chosen)
    _, key = create_key(app.state.context.database, "acme", ["upload", "read", "admin"])
    app.state.key = key
    return app


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_the_service_keeps_to_its_document(service, mode):
    schema = schemathesis.openapi.from_asgi("/openapi.json", service)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 10
    for operation in operations:
        check = given(case=operation.as_strategy(generation_mode=mode))(validate(service))
        limited = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        # what takes no input can't be given a wrong one
        with contextlib.suppress(Unsatisfiable):
            limited(check)()


def validate(service):
    headers = {"Authorization": f"Bearer {service.state.key}"}

    def check(case):
        case.call_and_validate(headers=headers, checks=CHECKS)

    return check
