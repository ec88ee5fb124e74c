"""Dagster's instance folder."""

from __future__ import annotations

import os
from pathlib import Path

from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.settings import dagster_home


def check_dagster_home(home: str | None = None) -> Finding:
    """See that Dagster's instance folder is set, absolute, configured and writable."""
    value = dagster_home() if home is None else home
    fix = "Run `source dev.env` in the project's folder (`make setup` writes it)"
    if not value:
        return Finding("DAGSTER_HOME", "wrong", "is not set: runs would leave no record", fix)
    path = Path(value)
    if not path.is_absolute():
        return Finding("DAGSTER_HOME", "wrong", f"{value!r} is not an absolute path", fix)
    if not path.is_dir():
        return Finding("DAGSTER_HOME", "wrong", f"{value} is not a folder", fix)
    if not (path / "dagster.yaml").is_file():
        return Finding(
            "DAGSTER_HOME",
            "wrong",
            f"{value} has no dagster.yaml",
            "Copy the project's dagster.yaml there: it bounds concurrent runs",
        )
    if not os.access(path, os.W_OK):
        return Finding("DAGSTER_HOME", "wrong", f"{value} can't be written", "Change its owner")
    return Finding("DAGSTER_HOME", "ok", value)
