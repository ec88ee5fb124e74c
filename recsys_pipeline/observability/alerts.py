"""Messages to the operator, by webhook and e-mail: at least once each, whoever sends them.

A message stays owed to a channel until that has taken it. What nobody has taken for a week is dropped.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from recsys_pipeline.engines.webhooks import check_address, post_signed
from recsys_pipeline.errors import ServiceError, SettingsError
from recsys_pipeline.observability.email import send_email
from recsys_pipeline.observability.messages import Owed
from recsys_pipeline.storage.layout import ALERTS_OUTBOX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recsys_pipeline.observability.messages import Message
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore

log = logging.getLogger(__name__)

LOCK = "alerts/sending"
ABANDONED_SECONDS = 7 * 24 * 3600.0


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
            if time.time() - owed.at > ABANDONED_SECONDS:
                log.warning("nobody has taken message %s for a week", owed.message.id)
                objects.delete(path)
                continue
            left = [name for name in owed.channels if name in channels(settings)]
            for name in tuple(left):
                if name in failed:  # one that is down is not asked again for each message
                    continue
                try:
                    _SEND[name](settings, owed.message)
                except ServiceError as error:
                    failed[name] = error
                    continue
                left.remove(name)
                if left:
                    objects.write(
                        path,
                        owed.model_copy(update={"channels": tuple(left)})
                        .model_dump_json()
                        .encode(),
                    )
            if not left:
                objects.delete(path)
                sent += 1
    for refused in failed.values():
        raise refused
    return sent


def send_now(settings: Settings, message: Message) -> Iterator[str]:
    """Send a message that is not owed; yield each channel that has taken it.

    Raises:
        SettingsError: A channel is not configured as it must be.
        ServiceError: A channel does not take it.
    """
    check_alerts(settings)
    for name in channels(settings):
        _SEND[name](settings, message)
        yield name


def _owed(objects: ObjectStore) -> list[tuple[str, Owed]]:
    found = []
    for path in objects.list(ALERTS_OUTBOX):
        data = objects.read(path)
        try:
            found.append((path, Owed.model_validate_json(data or b"")))
        except ValidationError:
            objects.delete(path)  # torn or edited: what it said can't be known
    return sorted(found, key=lambda one: (one[1].at, one[0]))


def _call(settings: Settings, message: Message) -> None:
    told: dict[str, object] = {
        "type": f"alert.{message.state}",
        "timestamp": message.since,
        "data": message.model_dump(mode="json"),
    }
    url, secret = str(settings.alert_webhook_url), settings.alert_webhook_secret
    post_signed("RECSYS_ALERT_WEBHOOK", url, secret, message.id, told)


def _mail(settings: Settings, message: Message) -> None:
    send_email(settings, message.subject, message.text, message.id)


_SEND: dict[str, Callable[[Settings, Message], None]] = {"webhook": _call, "email": _mail}
