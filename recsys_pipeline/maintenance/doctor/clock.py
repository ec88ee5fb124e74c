"""The machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_pipeline.maintenance.doctor.finding import Finding

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

MAX_SKEW = timedelta(minutes=5)


def check_clock(settings: Settings, now: datetime, storage_clock: datetime | None) -> Finding:
    """Compare the clock with the store's, with this package's files and with the start date.

    Args:
        settings: Give the start date.
        now: The clock's time, UTC.
        storage_clock: The time that the store put on a fresh object.
    """
    fix = "Set the clock (for example by NTP): events ahead of it are quarantined"
    made = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < made - timedelta(days=1):
        return Finding(
            "clock", "wrong", f"{now:%Y-%m-%d %H:%M} UTC is before this program was installed", fix
        )
    if storage_clock is not None and abs(now - storage_clock) > MAX_SKEW:
        minutes = abs(now - storage_clock).total_seconds() / 60
        return Finding("clock", "wrong", f"is {minutes:.0f} minutes off the storage's", fix)
    if settings.start_date > now.date():
        return Finding(
            "clock",
            "warning",
            f"today is {now:%Y-%m-%d}, before the first partition {settings.start_date}",
            "Lower RECSYS_START_DATE, or mend the clock",
        )
    return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")
