"""Alembic's entry: it runs on the connection that `database` hands over."""

from __future__ import annotations

from alembic import context

from recsys_pipeline.metadata.tables import METADATA
from recsys_pipeline.metadata.versions import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
)
context.run_migrations()
