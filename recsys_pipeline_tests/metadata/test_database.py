from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, inspect

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.metadata.database import open_database
from recsys_pipeline.metadata.keys import create_key
from recsys_pipeline.metadata.tables import METADATA
from recsys_pipeline.metadata.uploads import UploadKey, claim, release, save_answer


@pytest.fixture
def database(tmp_path):
    return open_database(f"sqlite:///{tmp_path}/new/metadata.db")


def test_migrations_make_the_tables_of_the_code(database):
    plain = create_engine("sqlite://")
    METADATA.create_all(plain)

    def columns(engine):
        looked = inspect(engine)
        return {
            table: [(c["name"], str(c["type"]), c["nullable"]) for c in looked.get_columns(table)]
            for table in METADATA.tables
        }

    assert columns(database) == columns(plain)
    assert inspect(database).get_unique_constraints("uploads")


def test_processes_may_open_it_at_once(tmp_path):
    url = f"sqlite:///{tmp_path}/metadata.db"
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(open_database, [url] * 4))
    assert all(inspect(engine).has_table("uploads") for engine in engines)


@pytest.mark.parametrize("url", ["nonsense", "none://x", "sqlite:////dev/null/x.db"])
def test_an_address_that_can_not_be_used_is_a_settings_error(url):
    with pytest.raises(SettingsError, match="RECSYS_METADATA_URL"):
        open_database(url)


def test_a_key_is_claimed_once(database):
    name = UploadKey("acme", "items", "k")
    assert claim(database, name, "a").answer is None
    assert claim(database, name, "b").content == "a"
    save_answer(database, name, {"n": 1})
    save_answer(database, name, {"n": 2})
    release(database, name)  # an answered one stays
    assert claim(database, name, "a").answer == {"n": 1}
    assert claim(database, UploadKey("beta", "items", "k"), "b").content == "b"


def test_a_scope_that_is_none_is_refused(database):
    with pytest.raises(SettingsError, match="'write' is none"):
        create_key(database, "acme", ["write"])
