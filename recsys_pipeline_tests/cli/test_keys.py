from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from recsys_pipeline.cli.main import app
from recsys_pipeline.errors import SettingsError
from recsys_pipeline.metadata.database import open_database
from recsys_pipeline.metadata.keys import find_key
from recsys_pipeline.settings import get_settings


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_METADATA_URL", f"sqlite:///{tmp_path}/metadata.db")
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    yield open_database(f"sqlite:///{tmp_path}/metadata.db")
    get_settings.cache_clear()


def invoke(*words):
    return CliRunner().invoke(app, words)


def test_a_key_is_printed_once_and_works_until_it_is_revoked(database):
    made = invoke("keys", "create", "--tenant", "acme", "--name", "checkout")
    key = made.stdout.strip()
    found = find_key(database, key)
    assert (found.tenant, found.scopes, found.name) == ("acme", ("read", "upload"), "checkout")
    listed = invoke("keys", "list").output
    assert found.id in listed
    assert "checkout" in listed
    assert key.rpartition("_")[2] not in listed
    assert invoke("keys", "revoke", found.id).output == f"revoked {found.id}\n"
    assert find_key(database, key) is None
    again = invoke("keys", "revoke", found.id)
    assert isinstance(again.exception, SettingsError)


def test_keys_as_json(database):
    words = ("keys", "create", "--tenant", "acme", "--scope", "admin", "--json")
    made = json.loads(invoke(*words).stdout)
    assert made["scopes"] == ["admin"]
    (listed,) = json.loads(invoke("keys", "list", "--tenant", "acme", "--json").stdout)
    assert listed["id"] == made["id"]
    assert "key" not in listed
    assert json.loads(invoke("keys", "list", "--tenant", "beta", "--json").stdout) == []


@pytest.mark.parametrize(
    ("environment", "words", "culprit"),
    [
        ({"RECSYS_API_AUTH": "none"}, ["--host", "0.0.0.0"], "RECSYS_API_AUTH"),
        ({"RECSYS_API_TLS_KEY": "key.pem"}, [], "RECSYS_API_TLS_CERTIFICATE"),
    ],
)
def test_the_service_refuses_to_open_a_door_by_mistake(
    database, monkeypatch, environment, words, culprit
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    done = invoke("serve", *words)
    assert isinstance(done.exception, SettingsError)
    assert culprit in str(done.exception)
