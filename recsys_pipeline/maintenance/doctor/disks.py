"""Disks that the project writes to besides the storage root."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.storage_folder import LOW_DISK_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_disks(home: str | None, low: int = LOW_DISK_BYTES) -> Finding:
    """See that Dagster's folder and the folder of temporary files have room.

    Args:
        home: Dagster's folder; None where it is not set.
        low: Bytes below which there is little.
    """
    places = {"temporary files": tempfile.gettempdir()} | ({"DAGSTER_HOME": home} if home else {})
    free = _free(places)
    short = [f"{name} ({places[name]})" for name, left in free.items() if left < low]
    if short:
        return Finding(
            "disks",
            "warning",
            f"less than {low / 1024**3:.0f} GiB left for {', '.join(short)}",
            "Free some space; TMPDIR moves temporary files, RECSYS_RETENTION_RUN_DAYS shortens "
            "Dagster's records",
        )
    return Finding("disks", "ok", f"{min(free.values()) / 1024**3:.0f} GiB free or more")


def _free(places: Mapping[str, str]) -> dict[str, int]:
    return {
        name: shutil.disk_usage(path).free for name, path in places.items() if Path(path).is_dir()
    }
