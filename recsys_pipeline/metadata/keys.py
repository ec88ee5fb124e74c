"""API keys: made once, stored as hashes.

A key is `rsk_<id>_<secret>`. The secret has 256 random bits, so that a plain hash of it is as safe as
a slow one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, get_args

from sqlalchemy import insert, select, update

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.metadata.tables import API_KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine, RowMapping

Scope = Literal["upload", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "rsk"


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key; its secret is not.

    Attributes:
        id: Public part.
        tenant: Whose rows it reaches.
        name: What its owner calls it.
        scopes: What it may do.
        created_at: When it was made.
        revoked_at: When it was revoked; None while it works.
    """

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


def create_key(
    engine: Engine, tenant: str, scopes: Sequence[str], name: str = ""
) -> tuple[ApiKey, str]:
    """Make a key.

    Returns:
        The key's record, and the key itself, which can't be shown again.

    Raises:
        SettingsError: A scope is none.
    """
    if unknown := set(scopes) - set(SCOPES):
        raise SettingsError("scope", f"{min(unknown)!r} is none", f"Choose of {', '.join(SCOPES)}")
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    record = ApiKey(key_id, tenant, name, tuple(sorted(set(scopes))), datetime.now(UTC), None)
    values = vars(record) | {"scopes": " ".join(record.scopes), "secret_hash": _hash(secret)}
    with engine.begin() as connection:
        connection.execute(insert(API_KEYS).values(values))
    return record, f"{PREFIX}_{key_id}_{secret}"


def find_key(engine: Engine, text: str) -> ApiKey | None:
    """Return the key that a caller presents; None when it is none, or revoked."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not secret:
        return None
    with engine.connect() as connection:
        row = connection.execute(select(API_KEYS).where(API_KEYS.c.id == key_id)).mappings().first()
    # the same work whether the id is known or not
    matches = hmac.compare_digest(row["secret_hash"] if row else "", _hash(secret))
    if row is None or not matches or row["revoked_at"] is not None:
        return None
    return _record(row)


def list_keys(engine: Engine, tenant: str | None = None) -> list[ApiKey]:
    """Return the keys of a tenant, or all, the oldest first."""
    query = select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id)
    if tenant is not None:
        query = query.where(API_KEYS.c.tenant == tenant)
    with engine.connect() as connection:
        return [_record(row) for row in connection.execute(query).mappings()]


def revoke_key(engine: Engine, key_id: str) -> bool:
    """Revoke a key; return whether one of that id worked until now."""
    working = (API_KEYS.c.id == key_id) & API_KEYS.c.revoked_at.is_(None)
    with engine.begin() as connection:
        done = connection.execute(
            update(API_KEYS).where(working).values(revoked_at=datetime.now(UTC))
        )
    return done.rowcount > 0


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _record(row: RowMapping) -> ApiKey:
    return ApiKey(
        row["id"],
        row["tenant"],
        row["name"],
        tuple(row["scopes"].split()),
        row["created_at"],
        row["revoked_at"],
    )
