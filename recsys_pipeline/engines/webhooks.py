"""Calls of the webhook that is told of releases.

Signed as Standard Webhooks has it (github.com/standard-webhooks/standard-webhooks, spec 1.0): the signature
is HMAC-SHA256 over `id.timestamp.body`. A call that is not answered 2xx stays owed, and is made again by
`notices_sensor`: at least once. `webhook-id` is the release, so that a receiver can tell repeats.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING

from recsys_pipeline.engines.release_notices import released_notice
from recsys_pipeline.errors import ServiceError, SettingsError
from recsys_pipeline.storage.layout import WEBHOOKS

if TYPE_CHECKING:
    from pydantic import SecretStr

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore

ABANDONED_SECONDS = 24 * 3600.0  # what is owed for longer was never published
TIMEOUT_SECONDS = 10.0
TYPE = "release.published"


def check_webhook(settings: Settings) -> None:
    """Check the settings of the webhook.

    Raises:
        SettingsError: The address is none, or nothing signs the calls.
    """
    if settings.release_webhook_url is not None:
        check_address(
            "RECSYS_RELEASE_WEBHOOK", settings.release_webhook_url, settings.release_webhook_secret
        )


def check_address(name: str, url: str, secret: SecretStr | None) -> SecretStr:
    """Check where signed calls go; return what signs them.

    Args:
        name: What the names of both settings begin with.
        url: The address.
        secret: The secret.

    Raises:
        SettingsError: The address is none, or nothing signs the calls.
    """
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"{name}_URL", f"{url!r} is no address", "Use https://…")
    if secret is None:
        raise SettingsError(
            f"{name}_SECRET",
            "is missing",
            f"Set a long random text: it signs what is sent to {name}_URL",
        )
    return secret


def signature(secret: str, call_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a call, as the header `webhook-signature` has it.

    Args:
        secret: The shared secret; one that begins with `whsec_` is base64 after it, as others write it.
        call_id: `webhook-id`.
        timestamp: `webhook-timestamp`: seconds since 1970.
        body: What is sent.
    """
    coded = secret.removeprefix("whsec_")
    key = base64.b64decode(coded) if coded != secret else secret.encode()
    signed = f"{call_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def send_webhooks(settings: Settings, objects: ObjectStore) -> int:
    """Make the calls that are owed of releases in place.

    Returns:
        The number of calls that were answered.

    Raises:
        SettingsError: The webhook is not configured as it must be.
        ServiceError: One was not answered 2xx; it stays owed.
    """
    if settings.release_webhook_url is None or not objects.list(WEBHOOKS):
        return 0
    check_webhook(settings)
    called: set[str] = set()
    error: ServiceError | None = None
    with objects.lock("webhooks"):
        for path in sorted(objects.list(WEBHOOKS)):
            tenant, name = path.removeprefix(WEBHOOKS).split("/")
            release = name.partition(".")[0]
            notice = released_notice(objects, tenant, release)
            if notice is None:
                owed = json.loads(objects.read(path) or b"{}")
                if time.time() - owed.get("at", 0.0) > ABANDONED_SECONDS:
                    objects.delete(path)
                continue
            try:
                if release not in called:
                    _call(settings, release, notice)
            except ServiceError as failed:
                error = failed
                continue
            called.add(release)
            objects.delete(path)
    if error is not None:
        raise error
    return len(called)


def _call(settings: Settings, release: str, notice: dict[str, object]) -> None:
    told = {"type": TYPE, "timestamp": notice["published_at"], "data": notice}
    url, secret = str(settings.release_webhook_url), settings.release_webhook_secret
    post_signed("RECSYS_RELEASE_WEBHOOK", url, secret, release, told)


def post_signed(
    name: str, url: str, secret: SecretStr | None, call_id: str, told: dict[str, object]
) -> None:
    """Make one signed call.

    Args:
        name: What the names of its settings begin with.
        url: The address.
        secret: The secret.
        call_id: `webhook-id`; the same for every attempt.
        told: What is sent, as JSON.

    Raises:
        SettingsError: The address is none, or nothing signs the call.
        ServiceError: It was not answered 2xx.
    """
    import httpx2

    key = check_address(name, url, secret).get_secret_value()
    now = int(time.time())
    body = json.dumps(told, separators=(",", ":")).encode()
    headers = {
        "content-type": "application/json",
        "webhook-id": call_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(key, call_id, now, body),
    }
    try:
        answer = httpx2.post(url, content=body, headers=headers, timeout=TIMEOUT_SECONDS)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        words = f"does not answer ({error or type(error).__name__})"
        raise ServiceError(f"{name}_URL", words, "It is called again") from None
    if not answer.is_success:
        raise ServiceError(f"{name}_URL", f"answers {answer.status_code}", "It is called again")
