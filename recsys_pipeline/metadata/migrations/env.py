"""Alembic's entry: it runs on the connection that `database` hands over."""

from __future__ import annotations

from alembic import context

from recsys_pipeline.metadata.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="recsys_alembic_version",  # Dagster may keep its own in the same database
    transaction_per_migration=False,
)
context.run_migrations()
