"""The audit log: who did what, when, and how it ended. Rows are only ever added."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from recsys_pipeline.metadata.tables import AUDIT_LOG

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class Entry:
    """One thing that was done.

    Attributes:
        request_id: The request's id.
        actor: The key's id, or who else it was.
        tenant: Whose data it was about.
        action: E.g. `upload interactions`.
        target: E.g. a batch's id.
        outcome: E.g. `landed`.
    """

    request_id: str
    actor: str
    tenant: str
    action: str
    target: str
    outcome: str


def record(engine: Engine, entry: Entry) -> None:
    """Add an entry."""
    with engine.begin() as connection:
        connection.execute(insert(AUDIT_LOG).values(vars(entry) | {"at": datetime.now(UTC)}))


def entries(engine: Engine, tenant: str) -> list[Entry]:
    """Return a tenant's entries, the oldest first."""
    names = [AUDIT_LOG.c[name] for name in Entry.__dataclass_fields__]
    query = select(*names).where(AUDIT_LOG.c.tenant == tenant).order_by(AUDIT_LOG.c.id)
    with engine.connect() as connection:
        return [Entry(*row) for row in connection.execute(query)]
