"""A copy of the landed offsets in a consumer group, for the lag monitors that read groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.kafka.config import client_config, log, reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys_pipeline.settings import Settings

LONGEST_WAIT = 5.0  # seconds: rows and offsets are safe by then, and the next landing copies anew


def mirror_offsets(settings: Settings, topic: str, offsets: Mapping[int, int]) -> str | None:
    """Commit landed offsets to `kafka_consumer_group`; they are never read back.

    Args:
        settings: The brokers and the group; without a group nothing is done.
        topic: The topic.
        offsets: The landed offset by partition.

    Returns:
        Why the broker did not take them, or None. Nothing depends on them, so it is no error.
    """
    if settings.kafka_consumer_group is None or not offsets:
        return None
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    patience = max(int(min(settings.kafka_timeout_seconds, LONGEST_WAIT) * 1_000), 1)
    config = client_config(
        settings,
        group_id=settings.kafka_consumer_group,
        enable_auto_commit=False,
        session_timeout_ms=patience,  # so long, 45 s by default, a commit waits for a coordinator
        heartbeat_interval_ms=max(patience // 3, 1),
        reconnect_backoff_ms=1_000,  # each attempt is a line in the log
        reconnect_backoff_max_ms=10_000,
    )
    try:
        consumer = Consumer(config, logger=log)
    except KafkaException as error:
        return reason(error)
    try:
        consumer.commit(
            offsets=[TopicPartition(topic, p, offset) for p, offset in sorted(offsets.items())],
            asynchronous=False,
        )
    except KafkaException as error:
        return reason(error)
    finally:
        consumer.close()
    return None
