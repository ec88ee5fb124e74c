"""Versions of the metadata database's tables, asked for without changing them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from recsys_pipeline.errors import SettingsError

VERSION_TABLE = "recsys_alembic_version"  # Dagster may keep its own in the same database


class Versions(NamedTuple):
    """Versions of the tables.

    Attributes:
        found: The database's; None where it has no tables yet.
        newest: The one that this release migrates to.
        known: All that this release can migrate from.
    """

    found: str | None
    newest: str
    known: frozenset[str]


def versions(url: str) -> Versions:
    """Read the version of a database's tables.

    Args:
        url: SQLAlchemy's address.

    Raises:
        SettingsError: The address can't be used, or nothing answers there.
    """
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    known = frozenset(one.revision for one in scripts.walk_revisions())
    newest = str(scripts.get_current_head())
    try:
        parsed = make_url(url)
        is_file = parsed.get_backend_name() == "sqlite" and parsed.database not in {
            None,
            ":memory:",
        }
        if is_file and not Path(str(parsed.database)).exists():
            return Versions(None, newest, known)  # to connect would make the file
        engine = create_engine(parsed)
        try:
            with engine.connect() as connection:
                found = MigrationContext.configure(
                    connection, opts={"version_table": VERSION_TABLE}
                ).get_current_revision()
        finally:
            engine.dispose()
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(
            "RECSYS_METADATA_URL", f"can't be used ({error})", "See docs/settings.md"
        ) from None
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", error)).splitlines()[0]
        raise SettingsError(
            "RECSYS_METADATA_URL", f"does not answer ({said})", "Check the address"
        ) from None
    return Versions(found, newest, known)
