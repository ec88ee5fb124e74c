"""The Kafka brokers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recsys_pipeline.maintenance.doctor.finding import Finding

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

KAFKA_SECONDS = 3.0


def check_kafka(settings: Settings, seconds: float = KAFKA_SECONDS) -> Finding:
    """Ask the configured brokers for their metadata, within a few seconds."""
    servers = settings.kafka_bootstrap_servers
    if not servers:
        return Finding("kafka", "ok", "not configured (RECSYS_KAFKA_BOOTSTRAP_SERVERS)")
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from recsys_pipeline.kafka.config import client_config, reason

    silent = logging.getLogger("recsys_pipeline.doctor.kafka")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    try:
        client = AdminClient(client_config(settings), logger=silent)
        cluster = client.list_topics(timeout=seconds)
    except KafkaException as error:
        return Finding(
            "kafka",
            "wrong",
            f"{servers}: {reason(error)} (waited {seconds:g} s at most)",
            "Start the broker, or mend or unset RECSYS_KAFKA_BOOTSTRAP_SERVERS",
        )
    return Finding("kafka", "ok", f"{servers}, {len(cluster.brokers)} broker(s)")
