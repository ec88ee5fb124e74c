"""Erasure from the metadata database, which holds ids only where a caller made a key of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from recsys_pipeline.maintenance.erasure.receipt import Layer
from recsys_pipeline.metadata.database import open_database
from recsys_pipeline.metadata.tables import AUDIT_LOG, UPLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.storage.erased import Subjects

ERASED = "[erased]"


def erase_metadata(url: str, subjects: Subjects) -> Layer:
    """Forget uploads whose key or answer names one of them, and blank the audit log's mentions.

    Such an upload is no longer known by its key; the landing zone still knows its content.

    Args:
        url: The database.
        subjects: Who was erased.
    """
    database = open_database(url)
    try:
        with database.begin() as connection:
            uploads = connection.execute(
                select(UPLOADS.c.id, UPLOADS.c.key, UPLOADS.c.answer).where(
                    UPLOADS.c.tenant == subjects.tenant
                )
            ).all()
            named = [
                one.id
                for one in uploads
                if any(subjects.are_named(text) for text in (one.key, *_strings(one.answer)))
            ]
            connection.execute(delete(UPLOADS).where(UPLOADS.c.id.in_(named)))
            audited = connection.execute(
                select(AUDIT_LOG.c.id, AUDIT_LOG.c.request_id, AUDIT_LOG.c.target).where(
                    AUDIT_LOG.c.tenant == subjects.tenant
                )
            ).all()
            for column in ("request_id", "target"):
                ids = [one.id for one in audited if subjects.are_named(getattr(one, column))]
                named += ids
                connection.execute(
                    update(AUDIT_LOG).where(AUDIT_LOG.c.id.in_(ids)).values({column: ERASED})
                )
    finally:
        database.dispose()
    return Layer(
        name="metadata database", looked_at=len(uploads) + len(audited), rows=len(set(named))
    )


def _strings(answer: object) -> Iterator[str]:
    """Yield the texts of an answer: its keys are ours, and its numbers are counts."""
    if isinstance(answer, str):
        yield answer
    elif isinstance(answer, dict | list):
        for value in answer.values() if isinstance(answer, dict) else answer:
            yield from _strings(value)
