"""Client properties from the settings, and one line for what librdkafka reports."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from recsys_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from confluent_kafka import KafkaException

    from recsys_pipeline.settings import Settings

# what librdkafka says of a broker that is down goes to the log once a second, and into our errors
log = logging.getLogger("recsys_pipeline.kafka")


def is_configured(settings: Settings) -> bool:
    """Return whether there is a broker to talk to."""
    return bool(settings.kafka_bootstrap_servers)


def client_config(settings: Settings, **own: str | float | bool) -> dict[str, Any]:
    """Return the librdkafka properties of a client.

    Args:
        settings: The brokers, the security options and the password.
        own: What the client itself needs, with `_` for `.`; nothing in the settings beats it.

    Raises:
        SettingsError: No broker is configured.
    """
    if not settings.kafka_bootstrap_servers:
        raise SettingsError(
            "RECSYS_KAFKA_BOOTSTRAP_SERVERS", "is not set", "Set it to host:port of a broker"
        )
    password = settings.kafka_sasl_password
    return {
        "client.id": "recsys-pipeline",
        **settings.kafka_options,
        **({"sasl.password": password.get_secret_value()} if password else {}),
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        **{name.replace("_", "."): value for name, value in own.items()},
    }


def reason(error: KafkaException) -> str:
    """Return what a broker or librdkafka said, in one line."""
    cause = error.args[0] if error.args else error
    return str(cause.str() if hasattr(cause, "str") else cause)
