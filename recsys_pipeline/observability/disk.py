"""Measures of the disk that runs write to."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_pipeline.observability.families import DISK_FREE, DISK_SIZE, Measures, add

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings


def disk_measures(settings: Settings) -> Measures:
    """Return size and free bytes of the disk of a local root, or of temporary files without one."""
    is_local = not settings.storage_root.startswith("s3://")
    folder = Path(settings.storage_root if is_local else tempfile.gettempdir()).absolute()
    while not folder.exists():
        folder = folder.parent
    volume = "storage" if is_local else "temporary"
    usage = shutil.disk_usage(folder)
    found: Measures = {}
    add(found, DISK_FREE, usage.free, volume)
    add(found, DISK_SIZE, usage.total, volume)
    return found
