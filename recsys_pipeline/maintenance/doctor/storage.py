"""The storage root, whichever kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.storage_folder import probe_folder
from recsys_pipeline.maintenance.doctor.storage_s3 import probe_s3
from recsys_pipeline.maintenance.doctor.time_limit import within

if TYPE_CHECKING:
    from datetime import datetime

    from recsys_pipeline.settings import Settings

STORAGE_SECONDS = 10.0


def check_storage(
    settings: Settings, seconds: float = STORAGE_SECONDS
) -> tuple[Finding, datetime | None]:
    """Write, read and delete a small object below the storage root.

    Args:
        settings: Names the root.
        seconds: How long the store may take, all three together.

    Returns:
        The finding, and the time that the store put on the object (None where it can't be known).
    """
    root = settings.storage_root
    probe = probe_s3 if root.startswith("s3://") else probe_folder
    fix = (
        "Check the bucket, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        if root.startswith("s3://")
        else "Make the folder writable, or set RECSYS_STORAGE_ROOT to another"
    )
    try:
        return within(seconds, lambda: probe(root))
    except TimeoutError:
        return Finding("storage", "wrong", f"{root} gave no answer in {seconds:g} s", fix), None
    except Exception as error:  # noqa: BLE001  # any failure of a store is a finding
        return Finding("storage", "wrong", f"{root}: {_first_line(error)}", fix), None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
