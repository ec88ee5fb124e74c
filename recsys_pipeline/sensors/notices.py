"""The backstop of notices: sends what a run could not, because a receiver was down or it crashed."""

import dagster as dg

from recsys_pipeline.engines.notices import send_notices
from recsys_pipeline.engines.webhooks import send_webhooks
from recsys_pipeline.errors import RecsysError
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.observability.alerts import channels, send_alerts
from recsys_pipeline.settings import get_settings
from recsys_pipeline.storage.objects import open_store

INTERVAL_SECONDS = 30

_settings = get_settings()


@dg.sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=(
        dg.DefaultSensorStatus.RUNNING
        if is_configured(_settings) or _settings.release_webhook_url or channels(_settings)
        else dg.DefaultSensorStatus.STOPPED
    ),
    description=(
        "Sends the notices of published features, samples, releases and uploads, and makes the calls of "
        "the webhook and alerts, that were not sent by who owes them. Requests no run."
    ),
)
def notices_sensor() -> dg.SkipReason:
    """Send what is owed."""
    settings = get_settings()
    if not (is_configured(settings) or settings.release_webhook_url or channels(settings)):
        return dg.SkipReason(
            "Nobody is to be told: none of RECSYS_KAFKA_BOOTSTRAP_SERVERS, "
            "RECSYS_RELEASE_WEBHOOK_URL, RECSYS_ALERT_WEBHOOK_URL and RECSYS_ALERT_EMAIL_TO is set"
        )
    objects = open_store(settings.storage_root)
    sent = 0
    failed: list[str] = []
    for send in (send_notices, send_webhooks, send_alerts):
        try:
            sent += send(settings, objects)
        except RecsysError as error:
            failed.append(str(error))
    told = f"{sent} notices sent" if sent else "No notice is owed" if not failed else ""
    return dg.SkipReason(" ".join([told, *(f"Owed still: {words}" for words in failed)]).strip())
