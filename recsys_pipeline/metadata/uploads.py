"""Uploads under a caller's own idempotency key, each with its first answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from recsys_pipeline.metadata.tables import UPLOADS

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine

Answer = dict[str, Any]


@dataclass(frozen=True)
class UploadKey:
    """What names an upload: a key is its tenant's and kind's own."""

    tenant: str
    kind: str
    key: str

    def matches(self) -> ColumnElement[bool]:
        """Return the condition on a row."""
        return (
            (UPLOADS.c.tenant == self.tenant)
            & (UPLOADS.c.kind == self.kind)
            & (UPLOADS.c.key == self.key)
        )


@dataclass(frozen=True)
class Claim:
    """What is known of a key.

    Attributes:
        content: Hash of what was first sent under it.
        answer: What was answered to that; None while it is not known to be durable.
        mine: Whether this call took the key.
    """

    content: str
    answer: Answer | None
    mine: bool


def claim(engine: Engine, upload: UploadKey, content: str, days: int) -> Claim:
    """Take a key for some content, or return what it was taken for before.

    Args:
        engine: The database.
        upload: The key.
        content: Hash of what is sent under it.
        days: Age from which on a key is forgotten.
    """
    values = vars(upload) | {"content": content, "created_at": datetime.now(UTC)}
    query = select(UPLOADS.c.content, UPLOADS.c.answer).where(upload.matches())
    old = upload.matches() & (UPLOADS.c.created_at < datetime.now(UTC) - timedelta(days=days))
    while True:
        try:
            with engine.begin() as connection:
                connection.execute(delete(UPLOADS).where(old))
                connection.execute(insert(UPLOADS).values(values))
        except IntegrityError:
            with engine.connect() as connection:
                row = connection.execute(query).one_or_none()
            if row is not None:
                return Claim(row.content, row.answer, mine=False)
            # it was given back in between
        else:
            return Claim(content, None, mine=True)


def save_answer(
    engine: Engine, upload: UploadKey, answer: Answer, *, instead_of: Answer | None = None
) -> Answer:
    """Keep the first answer of an upload, and return the one that stands.

    Args:
        engine: The database.
        upload: The key.
        answer: What is to be answered.
        instead_of: An answer that no longer holds, because its batch was withdrawn.
    """
    query = select(UPLOADS.c.answer).where(upload.matches())
    with engine.begin() as connection:
        standing: Answer | None = connection.execute(query).scalar_one_or_none()
        if standing is not None and standing != instead_of:
            return standing
        connection.execute(update(UPLOADS).where(upload.matches()).values(answer=answer))
    return answer


def release(engine: Engine, upload: UploadKey) -> None:
    """Give a key back whose upload was refused: it may be sent again, corrected."""
    with engine.begin() as connection:
        connection.execute(delete(UPLOADS).where(upload.matches() & UPLOADS.c.answer.is_(None)))


def forget_old(engine: Engine, days: int) -> int:
    """Remove the keys of uploads that are older than some days; return how many."""
    old = UPLOADS.c.created_at < datetime.now(UTC) - timedelta(days=days)
    with engine.begin() as connection:
        return connection.execute(delete(UPLOADS).where(old)).rowcount
