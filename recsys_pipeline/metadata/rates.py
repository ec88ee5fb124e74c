"""Requests counted by tenant and minute, shared by all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects import postgresql, sqlite

from recsys_pipeline.metadata.tables import RATES

if TYPE_CHECKING:
    from sqlalchemy import Engine


def count_request(engine: Engine, tenant: str, minute: int) -> int:
    """Count a request.

    Args:
        engine: The database.
        tenant: Whose request it is.
        minute: Minutes since 1970-01-01; counts of earlier ones go.

    Returns:
        The tenant's requests in that minute, this one included.
    """
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    one = insert(RATES).values(tenant=tenant, minute=minute, requests=1)
    counted = one.on_conflict_do_update(
        index_elements=[RATES.c.tenant, RATES.c.minute],
        set_={"requests": RATES.c.requests + 1},
    ).returning(RATES.c.requests)
    with engine.begin() as connection:
        count = int(connection.execute(counted).scalar_one())
        if count == 1:
            past = (RATES.c.tenant == tenant) & (RATES.c.minute < minute)
            connection.execute(RATES.delete().where(past))
    return count
