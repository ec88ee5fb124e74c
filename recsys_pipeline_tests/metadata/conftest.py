"""Databases on which the metadata must behave alike: SQLite, and Postgres where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from recsys_pipeline.metadata.database import open_database


@pytest.fixture(scope="session")
def postgres():
    """The address of a server of the tests' own. Skipped where it can't be had, but not in CI."""
    found = [shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    initdb = next(filter(None, found), None)
    own = {} if os.geteuid() else {"user": "postgres"}  # it refuses to run as root
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        initdb = None if own else initdb
    if initdb is None:
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without("no PostgreSQL on this machine")
    programs = Path(initdb).resolve().parent
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="recsys-postgres-") as folder:
        if own:
            shutil.chown(folder, "postgres")
        data = Path(folder) / "data"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder} | own
        command = [programs / "initdb", "-D", data, "-U", "recsys", "-A", "trust", "--no-sync"]
        subprocess.run(command, check=True, **quiet)
        options = f"-p {port} -k {folder} -h 127.0.0.1 -F"
        control = [programs / "pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-o", options, "start"], check=True, **quiet)
        try:
            yield f"postgresql+psycopg2://recsys@127.0.0.1:{port}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=False, **quiet)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/metadata.db"
    server = request.getfixturevalue("postgres")
    name = f"d{uuid.uuid4().hex}"
    with create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return f"{server}/{name}"


@pytest.fixture
def database(url):
    engine = open_database(url)
    yield engine
    engine.dispose()
