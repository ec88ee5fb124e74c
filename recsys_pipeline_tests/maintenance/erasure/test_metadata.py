"""What callers made of an id in the metadata database goes; what only looks like one stays."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select

from recsys_pipeline.maintenance.erasure.metadata import erase_metadata
from recsys_pipeline.metadata.database import open_database
from recsys_pipeline.metadata.tables import AUDIT_LOG, UPLOADS
from recsys_pipeline.storage.erased import Subjects

NOW = datetime(2025, 1, 1, tzinfo=UTC)
COUNTS = {"accepted": 7, "errors": [], "rows": None}
NAMED = {"errors": [{"row": 1, "message": "user_id 'Zoë 7' is not allowed"}]}
ANSWERS = {"Zoë 7": COUNTS, "import:u1": COUNTS, "k1": NAMED, "k2": COUNTS, "k3": None}


@pytest.fixture
def url(tmp_path) -> str:
    found = f"sqlite:///{tmp_path}/m.db"
    database = open_database(found)
    upload = {"kind": "interactions", "content": "c", "created_at": NOW}
    audited = {"at": NOW, "actor": "a", "action": "b", "outcome": "ok"}
    with database.begin() as connection:
        for tenant in ("acme", "beta"):
            for key, answer in ANSWERS.items():
                row = {"tenant": tenant, "key": key, "answer": answer}
                connection.execute(insert(UPLOADS).values(upload | row))
            row = {"tenant": tenant, "request_id": "of-u1", "target": "k2"}
            columns = AUDIT_LOG.c.keys()
            known = {name: value for name, value in (audited | row).items() if name in columns}
            connection.execute(insert(AUDIT_LOG).values(known))
    database.dispose()
    return found


def left(url: str, tenant: str) -> tuple[set[str], set[str]]:
    """Return the keys of a tenant's uploads, and the request ids and targets of its audit log."""
    database = open_database(url)
    with database.begin() as connection:
        keys = connection.execute(select(UPLOADS.c.key).where(UPLOADS.c.tenant == tenant)).scalars()
        columns = (AUDIT_LOG.c.request_id, AUDIT_LOG.c.target)
        texts = connection.execute(select(*columns).where(AUDIT_LOG.c.tenant == tenant)).all()
        found = set(keys), {text for row in texts for text in row}
    database.dispose()
    return found


@pytest.mark.parametrize("by_hash", [False, True])
@pytest.mark.parametrize(
    ("user", "gone"),
    [("Zoë 7", {"Zoë 7"}), ("u1", {"import:u1"}), ("7", set()), ("rows", set()), ("null", set())],
)
def test_uploads_that_name_somebody_are_forgotten(url, user, gone, by_hash):
    subjects = Subjects.of_ids("acme", b"key", frozenset({(user, None)}))
    if by_hash:
        subjects = Subjects("acme", b"key", subjects.erased)
    erase_metadata(url, subjects)
    keys, _ = left(url, "acme")
    assert gone <= set(ANSWERS) - keys
    assert set(ANSWERS) - keys <= gone | ({"Zoë 7", "k1"} if "7" in user else set())
    assert left(url, "beta")[0] == set(ANSWERS)


def test_mentions_in_the_audit_log_are_blanked(url):
    erase_metadata(url, Subjects.of_ids("acme", b"key", frozenset({("u1", None)})))
    assert left(url, "acme")[1] == {"[erased]", "k2"}
    assert left(url, "beta")[1] == {"of-u1", "k2"}
