"""A service over an empty root, with a key of `acme` and one of `beta`."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from recsys_pipeline.api.app import create_app
from recsys_pipeline.metadata.keys import create_key
from recsys_pipeline.settings import Settings


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(
        _env_file=None,
        storage_root=str(tmp_path / "root"),
        metadata_url=f"sqlite:///{tmp_path}/metadata.db",
        tenants_file=tmp_path / "tenants.toml",
        api_max_mib=1,
    )


@pytest.fixture
def app(settings):
    return create_app(settings)


@pytest.fixture
def database(app):
    return app.state.context.database


def client_of(app, database, tenant, *scopes):
    _, key = create_key(database, tenant, scopes or ("upload", "read"))
    return TestClient(
        app, headers={"Authorization": f"Bearer {key}"}, raise_server_exceptions=False
    )


@pytest.fixture
def acme(app, database):
    return client_of(app, database, "acme")


@pytest.fixture
def beta(app, database):
    return client_of(app, database, "beta")
