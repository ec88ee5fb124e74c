"""The backstop of notices: sends what a run could not, because a broker was down or it crashed."""

import dagster as dg

from recsys_pipeline.engines.notices import send_notices
from recsys_pipeline.errors import RecsysError
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.sensors.default_status import DEFAULT_STATUS
from recsys_pipeline.settings import get_settings
from recsys_pipeline.storage.objects import open_store

INTERVAL_SECONDS = 30


@dg.sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DEFAULT_STATUS,
    description=(
        "Sends the notices of published features and samples that their own run has not sent. "
        "Requests no run."
    ),
)
def notices_sensor() -> dg.SkipReason:
    """Send what is owed."""
    settings = get_settings()
    if not is_configured(settings):
        return dg.SkipReason("RECSYS_KAFKA_BOOTSTRAP_SERVERS is not set: nobody is told")
    try:
        sent = send_notices(settings, open_store(settings.storage_root))
    except RecsysError as error:
        return dg.SkipReason(f"Notices stay owed: {error}")
    return dg.SkipReason(f"{sent} notices sent" if sent else "No notice is owed")
