"""What a broker says of a topic: its identity, and the offsets that its partitions hold."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys_pipeline.errors import KafkaError
from recsys_pipeline.kafka.config import client_config, log, reason

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from recsys_pipeline.settings import Settings

PAUSE_SECONDS = 0.2
# for brokers that give their topics no id: the name alone tells one from another
NO_ID = "-"


@dataclass(frozen=True)
class TopicState:
    """A topic at one moment.

    Attributes:
        name: Its name.
        cluster: The cluster's id.
        topic_id: Its id, another one after the topic was deleted and made anew; `-` where the
            broker has none.
        watermarks: By partition, the first offset that is still there and the next to be written.
    """

    name: str
    cluster: str
    topic_id: str
    watermarks: dict[int, tuple[int, int]]

    def app_id(self, partition: int) -> str:
        """Return the Delta app id under which the landed offset of a partition is committed."""
        return f"kafka/{self.cluster}/{self.name}/{self.topic_id}/{partition}"


def topic_state(settings: Settings, topic: str, timeout: float | None = None) -> TopicState:
    """Ask the brokers for a topic; reads no message.

    Args:
        settings: The brokers.
        topic: Name of the topic.
        timeout: Seconds to wait for each answer; the settings' by default.

    Raises:
        SettingsError: No broker is configured.
        KafkaError: No broker answers, or there is no such topic.
    """
    from confluent_kafka import Consumer, KafkaException

    config = client_config(
        settings,
        group_id="recsys-pipeline-watermarks",
        enable_auto_commit=False,
        allow_auto_create_topics=False,
    )
    timeout = timeout or settings.kafka_timeout_seconds
    until = time.monotonic() + timeout
    consumer = Consumer(config, logger=log)
    try:
        while True:
            try:
                return _ask(consumer, settings, topic, timeout)
            except KafkaException as error:
                # a broker that has just started is not yet the leader of its partitions
                if not error.args[0].retriable() or time.monotonic() > until:
                    raise unreachable(settings, reason(error)) from None
                time.sleep(PAUSE_SECONDS)
    finally:
        consumer.close()


def unreachable(settings: Settings, words: str) -> KafkaError:
    """Return the error of a broker that does not answer."""
    return KafkaError(
        f"broker {settings.kafka_bootstrap_servers}",
        f"does not answer ({words})",
        "Start it, or mend RECSYS_KAFKA_BOOTSTRAP_SERVERS and RECSYS_KAFKA_OPTIONS; nothing is "
        "lost meanwhile",
    )


def _ask(consumer: Consumer, settings: Settings, topic: str, timeout: float) -> TopicState:
    from confluent_kafka import TopicPartition

    cluster = consumer.list_topics(topic, timeout=timeout)
    found = cluster.topics[topic]
    if found.error is not None or not found.partitions:
        words = found.error.str() if found.error is not None else "it has no partition"
        raise KafkaError(
            f"topic {topic!r}",
            f"is not there ({words})",
            "Create it, or name another by RECSYS_KAFKA_INTERACTIONS_TOPIC and "
            "RECSYS_KAFKA_ITEMS_TOPIC",
        )
    watermarks = {}
    for partition in sorted(found.partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout)
        watermarks[partition] = (low, high)
    return TopicState(
        topic, cluster.cluster_id or NO_ID, _topic_id(settings, topic, timeout), watermarks
    )


def _topic_id(settings: Settings, topic: str, timeout: float) -> str:
    from confluent_kafka import TopicCollection
    from confluent_kafka.admin import AdminClient

    if not settings.kafka_topic_ids:
        return NO_ID
    admin = AdminClient(client_config(settings), logger=log)
    asked = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout)
    found = asked[topic].result(timeout).topic_id
    # a broker before Kafka 2.8 answers with zeros
    return NO_ID if found is None or not found.get_most_significant_bits() else str(found)
