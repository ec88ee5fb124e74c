"""Uploads under a caller's own idempotency key, each with its first answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update
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
    """

    content: str
    answer: Answer | None


def claim(engine: Engine, upload: UploadKey, content: str) -> Claim:
    """Take a key for some content, or return what it was taken for before."""
    values = vars(upload) | {"content": content, "created_at": datetime.now(UTC)}
    try:
        with engine.begin() as connection:
            connection.execute(insert(UPLOADS).values(values))
    except IntegrityError:
        query = select(UPLOADS.c.content, UPLOADS.c.answer).where(upload.matches())
        with engine.connect() as connection:
            row = connection.execute(query).one()
        return Claim(row.content, row.answer)
    return Claim(content, None)


def save_answer(engine: Engine, upload: UploadKey, answer: Answer) -> None:
    """Keep the first answer of an upload; a later one changes nothing."""
    open_yet = upload.matches() & UPLOADS.c.answer.is_(None)
    with engine.begin() as connection:
        connection.execute(update(UPLOADS).where(open_yet).values(answer=answer))


def release(engine: Engine, upload: UploadKey) -> None:
    """Give a key back whose upload was refused: it may be sent again, corrected."""
    with engine.begin() as connection:
        connection.execute(UPLOADS.delete().where(upload.matches() & UPLOADS.c.answer.is_(None)))
