"""What a topic holds, read by a plain consumer."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

_WAIT_S = 10


def consumed(broker, topic):
    """All messages of a topic, in the order of each partition."""
    consumer = Consumer(broker.config(group_id="unused", enable_auto_commit=False))
    try:
        partitions = consumer.list_topics(topic, _WAIT_S).topics[topic].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p))[1] for p in partitions}
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        found = []
        while len(found) < sum(ends.values()):
            message = consumer.poll(_WAIT_S)
            assert message is not None, f"{len(found)} of {ends}"
            assert message.error() is None, message.error()
            found.append(message)
        return found
    finally:
        consumer.close()
