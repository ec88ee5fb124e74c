"""Messages to the operator, by webhook and e-mail: at least once each, whoever sends them.

A message stays owed to a channel until that has taken it. What nobody has taken for a week is dropped.
"""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recsys_pipeline.engines.webhooks import check_address, post_signed
from recsys_pipeline.errors import ServiceError, SettingsError
from recsys_pipeline.observability.email import send_email
from recsys_pipeline.storage.layout import ALERTS_OUTBOX

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore

log = logging.getLogger(__name__)

LOCK = "alerts/sending"
ABANDONED_SECONDS = 7 * 24 * 3600.0
SHOWN_DAYS = 10
TITLES = {"run_failed": "Run failed", "held": "Day held"}


def channels(settings: Settings) -> tuple[str, ...]:
    """Return the channels that are set; none by default."""
    found = {"webhook": settings.alert_webhook_url, "email": settings.alert_email_to}
    return tuple(name for name, is_set in found.items() if is_set)


def check_alerts(settings: Settings) -> None:
    """Check the settings of the channels.

    Raises:
        SettingsError: One can't work.
    """
    if settings.alert_webhook_url is not None:
        check_address(
            "RECSYS_ALERT_WEBHOOK", settings.alert_webhook_url, settings.alert_webhook_secret
        )
    if settings.alert_email_to and settings.smtp_host is None:
        raise SettingsError(
            "RECSYS_SMTP_HOST", "is missing", "Name the server that takes e-mails of alerts"
        )


def send_alerts(settings: Settings, objects: ObjectStore) -> int:
    """Send what is owed, the oldest first.

    Returns:
        The number of messages that every channel has taken.

    Raises:
        SettingsError: A channel is not configured as it must be.
        ServiceError: A channel does not take a message; it stays owed.
    """
    if not channels(settings) or not objects.list(ALERTS_OUTBOX):
        return 0
    check_alerts(settings)
    sent = 0
    failed: dict[str, ServiceError] = {}
    with objects.lock(LOCK):
        for path, owed in _owed(objects):
            if time.time() - owed["at"] > ABANDONED_SECONDS:
                log.warning("nobody has taken message %s for a week", owed["message"]["id"])
                objects.delete(path)
                continue
            left = [name for name in owed["channels"] if name in channels(settings)]
            for name in tuple(left):
                if name in failed:  # one that is down is not asked again for each message
                    continue
                try:
                    _SEND[name](settings, owed["message"])
                except ServiceError as error:
                    failed[name] = error
                    continue
                left.remove(name)
                if left:
                    objects.write(path, json.dumps({**owed, "channels": left}).encode())
            if not left:
                objects.delete(path)
                sent += 1
    for refused in failed.values():
        raise refused
    return sent


def _owed(objects: ObjectStore) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path in objects.list(ALERTS_OUTBOX):
        data = objects.read(path)
        try:
            owed = json.loads(data or b"")
            found.append((owed["at"], path, owed))
        except (ValueError, KeyError, TypeError):
            objects.delete(path)  # torn or edited: what it said can't be known
    return [(path, owed) for _, path, owed in sorted(found, key=lambda one: one[:2])]


def _call(settings: Settings, message: dict[str, Any]) -> None:
    told: dict[str, object] = {
        "type": f"alert.{message['state']}",
        "timestamp": datetime.fromtimestamp(message["began_at"], UTC).isoformat(),
        "data": message,
    }
    url, secret = str(settings.alert_webhook_url), settings.alert_webhook_secret
    post_signed("RECSYS_ALERT_WEBHOOK", url, secret, message["id"], told)


def _mail(settings: Settings, message: dict[str, Any]) -> None:
    send_email(settings, subject(message), text(message), message["id"])


def subject(message: dict[str, Any]) -> str:
    """Return the message in a line."""
    over = "Over: " if message["state"] == "resolved" else ""
    what = TITLES.get(message["kind"], message["kind"])
    of = f" of {message['tenant']}" if message["tenant"] else ""
    return f"[recsys] {over}{what}: {message['asset']}{of}"


def text(message: dict[str, Any]) -> str:
    """Return the message as lines of text."""
    days = message["days"]
    shown = ", ".join(days[:SHOWN_DAYS])
    more = f" and {len(days) - SHOWN_DAYS} more" if len(days) > SHOWN_DAYS else ""
    began = datetime.fromtimestamp(message["began_at"], UTC).isoformat(timespec="seconds")
    lines = [
        message["words"],
        "",
        f"asset: {message['asset']}",
        f"tenant: {message['tenant'] or 'all'}",
        *([f"days: {shown}{more}"] if days else []),
        f"since: {began}",
        *([f"run: {message['url']}"] if message["url"] else []),
        *([f"next: {message['command']}"] if message["state"] == "firing" else []),
    ]
    return "\n".join(lines) + "\n"


_SEND: dict[str, Callable[[Settings, dict[str, Any]], None]] = {"webhook": _call, "email": _mail}
