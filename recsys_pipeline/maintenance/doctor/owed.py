"""Notices and calls of the webhook that nobody has sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.time_limit import within
from recsys_pipeline.storage.layout import NOTICES, WEBHOOKS
from recsys_pipeline.storage.objects import open_store

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

LONG = timedelta(hours=1)
OWED_SECONDS = 20.0
MOST = 200  # that are asked for their age


def check_owed(settings: Settings, now: datetime, seconds: float = OWED_SECONDS) -> Finding:
    """Count what has been owed for over an hour."""
    try:
        found = within(seconds, lambda: _late(settings.storage_root, now))
    except Exception as error:  # noqa: BLE001  # any failure of a store is a finding
        words = f"can't be read ({error or 'no answer'})"
        return Finding("notices", "wrong", words, "See the line `storage`")
    late = {what: count for what, count in found.items() if count}
    if not late:
        return Finding("notices", "ok", "none has been owed for over an hour")
    told = " and ".join(f"{count} {what}" for what, count in late.items())
    lacking = [
        name
        for name, what, is_set in (
            ("RECSYS_KAFKA_BOOTSTRAP_SERVERS", "notices", is_configured(settings)),
            ("RECSYS_RELEASE_WEBHOOK_URL", "calls of the webhook", settings.release_webhook_url),
        )
        if what in late and not is_set
    ]
    fix = (
        f"Set {' and '.join(lacking)} again: what is owed was made while it was set"
        if lacking
        else "Start `notices_sensor` in the UI; its ticks say what does not answer"
    )
    return Finding("notices", "warning", f"{told} owed for over an hour", fix)


def _late(root: str, now: datetime) -> dict[str, int]:
    objects = open_store(root)
    late = dict.fromkeys(("notices", "calls of the webhook"), 0)
    for what, folder in zip(late, (NOTICES, WEBHOOKS), strict=True):
        for path in islice(objects.list(folder), MOST):
            since = json.loads(objects.read(path) or b"{}").get("at")
            late[what] += since is not None and now - datetime.fromtimestamp(since, UTC) > LONG
    return late
