from __future__ import annotations

import os
import tomllib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st

from recsys_pipeline.errors import StorageError, TenantError
from recsys_pipeline.maintenance.tenants_file import write_overrides
from recsys_pipeline.settings import Settings
from recsys_pipeline.tenants import TenantOverrides, overrides

BEFORE = """# who may upload
[tenants.acme]
negative_ratio = 2 # as agreed

[tenants.beta]
quarantine_limit = 0.5 # noisy
"""


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, tenants_file=tmp_path / "tenants.toml")


def test_one_table_is_replaced_and_the_rest_stays(settings):
    settings.tenants_file.write_text(BEFORE)
    write_overrides(settings, "acme", TenantOverrides(categories=("Audio", 'a "b"')))
    text = settings.tenants_file.read_text()
    assert "# who may upload" in text
    assert "quarantine_limit = 0.5 # noisy" in text
    assert overrides(settings) == {
        "acme": TenantOverrides(categories=("Audio", 'a "b"')),
        "beta": TenantOverrides(quarantine_limit=0.5),
    }


def test_a_file_is_made_where_there_is_none(settings):
    write_overrides(settings, "acme", TenantOverrides(negative_ratio=3))
    assert overrides(settings) == {"acme": TenantOverrides(negative_ratio=3)}


@pytest.mark.parametrize("name", ["unassigned", "No", "a]\n[tenants.b"])
def test_a_name_that_is_no_tenants_is_refused(settings, name):
    with pytest.raises(TenantError):
        write_overrides(settings, name, TenantOverrides())
    assert not settings.tenants_file.exists()


def test_a_file_that_is_not_toml_is_left_as_it_is(settings):
    settings.tenants_file.write_text("[tenants")
    with pytest.raises(TenantError, match="is not TOML"):
        write_overrides(settings, "acme", TenantOverrides())
    assert settings.tenants_file.read_text() == "[tenants"


def test_a_crash_leaves_the_file_as_it_was(settings, monkeypatch):
    settings.tenants_file.write_text(BEFORE)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left"):
        write_overrides(settings, "acme", TenantOverrides())
    assert settings.tenants_file.read_text() == BEFORE
    assert sorted(p.name for p in settings.tenants_file.parent.iterdir()) == [
        ".tenants.toml.lock",
        "tenants.toml",
    ]


def test_a_folder_that_is_not_there_is_an_error(settings, tmp_path):
    chosen = settings.model_copy(update={"tenants_file": tmp_path / "none" / "tenants.toml"})
    with pytest.raises(StorageError, match="can't be written"):
        write_overrides(chosen, "acme", TenantOverrides())


def test_changes_at_the_same_time_all_stay(settings):
    names = [f"t{n}" for n in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write_overrides(settings, n, TenantOverrides()), names))
    assert set(tomllib.loads(settings.tenants_file.read_text())["tenants"]) == set(names)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings_(deadline=None)
@given(st.lists(texts, max_size=4), st.floats(0, 1), st.booleans())
def test_any_value_comes_back(tmp_path_factory, categories, limit, again):
    path = tmp_path_factory.mktemp("tenants") / "tenants.toml"
    settings = Settings(_env_file=None, tenants_file=path)
    table = TenantOverrides(categories=tuple(categories), quarantine_limit=limit)
    for _ in range(1 + again):
        write_overrides(settings, "acme", table)
    assert overrides(settings) == {"acme": table}
