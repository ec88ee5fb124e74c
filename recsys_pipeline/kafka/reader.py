"""Messages of exact offset ranges, in chunks of bounded size."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from recsys_pipeline.errors import KafkaError
from recsys_pipeline.kafka.config import client_config, log, reason
from recsys_pipeline.kafka.topics import unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from confluent_kafka import Consumer, Message
    from confluent_kafka import KafkaError as CimplKafkaError

    from recsys_pipeline.settings import Settings

FETCH = 10_000  # messages asked of librdkafka at once
WAIT_SECONDS = 0.2


@dataclass
class Chunk:
    """Consecutive messages of a partition.

    Attributes:
        start: First offset that the chunk answers for.
        end: The offset after the last one. Offsets between that have no message (markers of
            transactions, compaction) are answered for too.
        messages: The messages, in the order of offsets.
    """

    start: int
    end: int
    messages: list[Message] = field(default_factory=list)


class RangeReader:
    """Reads ranges of a topic by assignment: no group, no rebalance, no commit.

    Use it as a context manager.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._consumer: Consumer | None = None

    def __enter__(self) -> Self:
        from confluent_kafka import Consumer

        config = client_config(
            self._settings,
            group_id="recsys-pipeline-ranges",
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            enable_partition_eof=True,
            auto_offset_reset="error",
            isolation_level="read_committed",
            queued_max_messages_kbytes=65_536,
            fetch_message_max_bytes=8 * 2**20,
        )
        self._consumer = Consumer(config, logger=log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._consumer is not None:
            self._consumer.close()

    def read(
        self, partition: int, start: int, end: int, *, messages: int, size: int
    ) -> Iterator[Chunk]:
        """Read the messages from `start` up to, not including, `end`.

        Ends before `end` where the rest is of a transaction that is still open.

        Args:
            partition: The partition.
            start: First offset.
            end: The offset after the last.
            messages: Messages of a chunk at most.
            size: Bytes of a chunk's messages at most; a single larger one is a chunk by itself.

        Raises:
            KafkaError: No broker answers, or the first offset is no longer there.
        """
        from confluent_kafka import KafkaException, TopicPartition

        consumer = self._consumer
        assert consumer is not None, "RangeReader is a context manager"  # noqa: S101
        chunk, held = Chunk(start, start), 0
        try:
            consumer.assign([TopicPartition(self._topic, partition, start)])
            for position, message in self._messages(consumer, start, end, min(FETCH, messages)):
                length = len(message.value() or b"") if message is not None else 0
                if chunk.messages and (len(chunk.messages) >= messages or held + length > size):
                    yield chunk
                    chunk, held = Chunk(chunk.end, chunk.end), 0
                if message is not None:  # one without a value counts as false
                    chunk.messages.append(message)
                    held += length
                chunk.end = position
        except KafkaException as error:
            raise unreachable(self._settings, reason(error)) from None
        finally:
            consumer.unassign()
        if chunk.end > chunk.start:
            yield chunk

    def _messages(
        self, consumer: Consumer, start: int, end: int, count: int
    ) -> Iterator[tuple[int, Message | None]]:
        """Yield each message with the offset to go on from; at last the latter by itself."""
        position, heard = start, time.monotonic()
        while position < end:
            found = consumer.consume(count, WAIT_SECONDS)
            for message in found:
                error, offset = message.error(), message.offset() or 0
                if error is None and offset < end:
                    position = offset + 1
                    yield position, message
                elif error is None or self._is_end(error, message.partition(), position):
                    # behind the last message there may be markers, which are no messages
                    yield min(max(position, offset), end), None
                    return
            if found:
                heard = time.monotonic()
            elif time.monotonic() - heard > self._settings.kafka_timeout_seconds:
                waited = f"no message in {self._settings.kafka_timeout_seconds:g} s"
                raise unreachable(self._settings, waited)

    def _is_end(self, error: CimplKafkaError, partition: int | None, position: int) -> bool:
        """Tell the end of a partition from a failure.

        Raises:
            KafkaError: The offset is not there, or the broker refuses.
        """
        name = error.name()
        if name == "_PARTITION_EOF":
            return True
        if name in {"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"}:
            raise KafkaError(
                f"topic {self._topic!r} partition {partition}",
                f"no longer holds offset {position}",
                "The next range begins where the broker does",
            )
        if error.retriable() or name in {"_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"}:
            return False  # librdkafka connects again by itself; silence is timed
        raise KafkaError(f"topic {self._topic!r} partition {partition}", str(error), "")
