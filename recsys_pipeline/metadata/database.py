"""The metadata database: opened, and brought to the newest version of its tables."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from recsys_pipeline.errors import SettingsError

BUSY_SECONDS = 30
_PAUSE_SECONDS = 0.02
# as many as there are threads that answer requests
_POOL = {"pool_size": 10, "max_overflow": 40}
_MIGRATING = 0x7265637379  # any number that is ours


def open_database(url: str) -> Engine:
    """Open a database and migrate it.

    Args:
        url: SQLAlchemy's address, e.g. `sqlite:///metadata.db` or `postgresql+psycopg2://…`.

    Raises:
        SettingsError: The address can't be used.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, **_POOL)
            event.listen(engine, "connect", _durable_and_shared)
        else:
            engine = create_engine(parsed, pool_pre_ping=True, **_POOL)
        _migrate(engine)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, OSError) as error:
        raise SettingsError(
            "RECSYS_METADATA_URL", f"can't be used ({error})", "See docs/settings.md"
        ) from None
    except OperationalError as error:
        raise SettingsError(
            "RECSYS_METADATA_URL", f"does not answer ({error.orig})", "Check the address"
        ) from None
    return engine


def _durable_and_shared(connection: Any, _: object) -> None:  # noqa: ANN401  # DB-API ships no types
    # readers don't wait for a writer; a commit survives a power failure
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            # the switch of a new file doesn't wait for another's, whatever the timeout
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # of two that start one migrates
        elif engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
