"""A storage root on the local disk."""

from __future__ import annotations

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path

from recsys_pipeline.maintenance.doctor.finding import Finding

LOW_DISK_BYTES = 2 * 1024**3


def probe_folder(root: str) -> tuple[Finding, datetime | None]:
    """Write, read and delete a file in the folder, or in the nearest above it that exists.

    Returns:
        The finding, and the time that the file system put on the file.

    Raises:
        OSError: The folder can't be used, or what was read is not what was written.
    """
    base = Path(root).absolute()
    while not base.exists():
        base = base.parent
    if not base.is_dir():
        raise NotADirectoryError(f"{base} is not a folder")
    content = uuid.uuid4().bytes
    path = base / f".recsys-doctor-{uuid.uuid4().hex}"
    try:
        path.write_bytes(content)
        if path.read_bytes() != content:
            raise OSError("what was read is not what was written")
        stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    finally:
        path.unlink(missing_ok=True)
    free = shutil.disk_usage(base).free
    if free < LOW_DISK_BYTES:
        return (
            Finding(
                "storage",
                "warning",
                f"{root} has {free / 1024**3:.1f} GiB left",
                "Free some space, or set RECSYS_STORAGE_ROOT to a larger disk",
            ),
            stamp,
        )
    later = "" if base == Path(root).absolute() else " (made by the first run)"
    return Finding("storage", "ok", f"{root}{later}, {free / 1024**3:.0f} GiB free"), stamp
