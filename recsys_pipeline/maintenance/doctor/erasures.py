"""Erasures that are not over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.time_limit import within
from recsys_pipeline.maintenance.erasure.receipt import receipts
from recsys_pipeline.storage.objects import open_store

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

OVERDUE = timedelta(days=2)  # the last pass can begin a day after the first
ERASURES_SECONDS = 30.0


def check_erasures(settings: Settings, now: datetime, seconds: float = ERASURES_SECONDS) -> Finding:
    """Name erasures that were asked for over two days ago and have not settled."""
    fix = "Run: recsys erase finish (`upkeep_schedule` does so every night)"
    try:
        found = within(seconds, lambda: receipts(open_store(settings.storage_root)))
    except Exception as error:  # noqa: BLE001  # any failure of a store is a finding
        return Finding(
            "erasures", "wrong", f"can't be read ({error or 'no answer'})", "See the line `storage`"
        )
    late = [
        one
        for one in found
        if one.state != "settled" and now - datetime.fromisoformat(one.requested_at) > OVERDUE
    ]
    if late:
        oldest = min(one.requested_at for one in late)[:10]
        words = f"{len(late)} have not settled, the oldest is of {oldest}: {late[-1].receipt}"
        return Finding("erasures", "wrong", words, fix)
    under_way = sum(one.state != "settled" for one in found)
    return Finding("erasures", "ok", f"{len(found)} asked for, {under_way} under way")
