"""A copy of the landed offsets in a consumer group, for the lag monitors that read groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.kafka.config import client_config, log, reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys_pipeline.settings import Settings


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

    config = client_config(
        settings, group_id=settings.kafka_consumer_group, enable_auto_commit=False
    )
    consumer = Consumer(config, logger=log)
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
