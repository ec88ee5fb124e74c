from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import inspect

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.metadata.audit import Entry, entries, record
from recsys_pipeline.metadata.database import open_database
from recsys_pipeline.metadata.keys import create_key, find_key, list_keys, revoke_key
from recsys_pipeline.metadata.rates import count_request
from recsys_pipeline.metadata.tables import METADATA
from recsys_pipeline.metadata.uploads import UploadKey, claim, release, save_answer


def test_migrations_make_the_tables_of_the_code(database):
    migrated = columns(database)
    with database.begin() as connection:
        METADATA.drop_all(connection)
        METADATA.create_all(connection)
    assert migrated == columns(database)
    assert inspect(database).get_unique_constraints("uploads")


def columns(engine):
    looked = inspect(engine)
    return {
        table: [(c["name"], str(c["type"]), c["nullable"]) for c in looked.get_columns(table)]
        for table in METADATA.tables
    }


def test_processes_may_open_it_at_once(url):
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(open_database, [url] * 4))
    assert all(inspect(engine).has_table("uploads") for engine in engines)


def test_a_new_file_that_another_has_locked_is_waited_for(tmp_path):
    path = tmp_path / "metadata.db"
    other = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_database, f"sqlite:///{path}")
        time.sleep(0.3)
        assert not opening.done()
        other.execute("COMMIT")
        assert inspect(opening.result(20)).has_table("uploads")


@pytest.mark.parametrize("url", ["nonsense", "none://x", "sqlite:////dev/null/x.db"])
def test_an_address_that_can_not_be_used_is_a_settings_error(url):
    with pytest.raises(SettingsError, match="RECSYS_METADATA_URL"):
        open_database(url)


def test_a_key_is_claimed_once(database):
    name = UploadKey("acme", "items", "k")
    assert claim(database, name, "a", 30).answer is None
    assert claim(database, name, "b", 30).content == "a"
    save_answer(database, name, {"n": 1})
    save_answer(database, name, {"n": 2})
    release(database, name)  # an answered one stays
    assert claim(database, name, "a", 30).answer == {"n": 1}
    assert claim(database, UploadKey("beta", "items", "k"), "b", 30).content == "b"


def test_requests_are_counted_by_tenant_and_minute(database):
    assert [count_request(database, "acme", 7) for _ in range(3)] == [1, 2, 3]
    assert count_request(database, "beta", 7) == 1
    assert count_request(database, "acme", 8) == 1
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: count_request(database, "acme", 8), range(20)))
    assert sorted(counts) == list(range(2, 22))


def test_a_key_lives_until_it_is_revoked(database):
    made, key = create_key(database, "acme", ["read", "upload"], "checkout")
    found = find_key(database, key)
    assert (found.tenant, found.scopes) == ("acme", ("read", "upload"))
    assert find_key(database, key + "x") is None
    assert [listed.id for listed in list_keys(database)] == [made.id]
    assert revoke_key(database, made.id)
    assert find_key(database, key) is None


def test_the_audit_log_keeps_the_order(database):
    told = [Entry("r", "k", "acme", "upload items", str(n), "landed") for n in range(3)]
    for entry in told:
        record(database, entry)
    assert entries(database, "acme") == told
    assert entries(database, "beta") == []


def test_a_scope_that_is_none_is_refused(database):
    with pytest.raises(SettingsError, match="'write' is none"):
        create_key(database, "acme", ["write"])
