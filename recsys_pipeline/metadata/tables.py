"""Tables of the metadata database: what the service must remember and is not data."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

METADATA = MetaData()

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(63), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("scopes", String(100), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
)

# an upload that brought a key; `answer` is null until its rows are durable
UPLOADS = Table(
    "uploads",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("key", String(255), nullable=False),
    Column("content", String(64), nullable=False),
    Column("answer", JSON(none_as_null=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("tenant", "kind", "key", name="one_upload_per_key"),
)

RATES = Table(
    "rates",
    METADATA,
    Column("tenant", String(63), primary_key=True),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("requests", Integer, nullable=False),
)

# only ever added to
AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("actor", String(80), nullable=False),
    Column("tenant", String(63), nullable=False, index=True),
    Column("action", String(40), nullable=False),
    Column("target", String(255), nullable=False),
    Column("outcome", String(40), nullable=False),
)
