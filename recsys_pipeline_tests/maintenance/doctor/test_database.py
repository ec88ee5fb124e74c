from __future__ import annotations

import threading

from sqlalchemy import text

from recsys_pipeline.maintenance.doctor.database import check_database
from recsys_pipeline.metadata import versions as module
from recsys_pipeline.metadata.database import open_database
from recsys_pipeline_tests.maintenance.doctor.bare_settings import settings


def at(path):
    return settings(metadata_url=f"sqlite:///{path}")


def set_version(path, version):
    engine = open_database(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE recsys_alembic_version SET version_num = :v"), {"v": version}
        )
    engine.dispose()


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    finding = check_database(at(tmp_path / "m.db"))
    assert finding.status == "ok"
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_current(tmp_path):
    open_database(f"sqlite:///{tmp_path}/m.db").dispose()
    finding = check_database(at(tmp_path / "m.db"))
    assert (finding.status, finding.found[:18]) == ("ok", "tables of version ")


def test_one_of_a_newer_release(tmp_path):
    set_version(tmp_path / "m.db", "z9999")
    finding = check_database(at(tmp_path / "m.db"))
    assert (finding.status, "z9999" in finding.found) == ("wrong", True)


def test_one_that_waits_for_a_migration(tmp_path, monkeypatch):
    open_database(f"sqlite:///{tmp_path}/m.db").dispose()
    found = module.versions(f"sqlite:///{tmp_path}/m.db")
    newer = found._replace(newest="z9999")
    monkeypatch.setattr(module, "versions", lambda _: newer)
    finding = check_database(at(tmp_path / "m.db"))
    assert finding.status == "warning"
    assert "recsys serve" in finding.fix


def test_one_that_does_not_answer(tmp_path, monkeypatch):
    (tmp_path / "m.db").write_text("this is no database, and long enough to be looked at" * 40)
    assert check_database(at(tmp_path / "m.db")).status == "wrong"
    assert check_database(settings(metadata_url="nosuch://x")).status == "wrong"
    monkeypatch.setattr(module, "versions", lambda _: threading.Event().wait(30))
    assert "no answer" in check_database(at(tmp_path / "m.db"), seconds=0.1).found
