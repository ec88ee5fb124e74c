"""What tests may ask of a Kafka broker, be it librdkafka's mock or Apache Kafka."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaException, Producer

if TYPE_CHECKING:
    from collections.abc import Sequence

_DELIVERY_S = 30


class Broker(ABC):
    """One broker on a loopback port. What a kind cannot do raises NotImplementedError."""

    bootstrap: str
    is_real: bool

    @abstractmethod
    def create_topic(
        self, name: str, partitions: int = 1, config: dict[str, str] | None = None
    ) -> None:
        """Create a topic, with a topic's configuration on the real one only.

        Raises:
            confluent_kafka.KafkaException: TOPIC_ALREADY_EXISTS, among others.
        """

    @abstractmethod
    def delete_topic(self, name: str) -> None: ...

    @abstractmethod
    def add_partitions(self, name: str, total: int) -> None:
        """Raise the number of a topic's partitions to `total` (real only)."""

    @abstractmethod
    def drop_before(self, name: str, partition: int, offset: int) -> None:
        """Delete the records before an offset, as retention does."""

    @abstractmethod
    def down(self) -> None:
        """Close all connections and refuse new ones; records and offsets are kept."""

    @abstractmethod
    def up(self) -> None:
        """Undo `down` and `pause`; without effect otherwise."""

    @abstractmethod
    def pause(self) -> None:
        """Stop answering while connections stay open, as a hung broker does."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def config(self, **more: object) -> dict[str, object]:
        """Settings of a client that is quiet and quick to reconnect; `_` stands for `.`."""
        return {
            "bootstrap.servers": self.bootstrap,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
            **{key.replace("_", "."): value for key, value in more.items()},
        }

    def produce(
        self,
        topic: str,
        values: Sequence[bytes | None],
        partition: int | None = None,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
        timestamps: Sequence[int] | None = None,
    ) -> list[tuple[int, int]]:
        """Write records, in their order within a partition, and wait until they are stored.

        Args:
            topic: An existing topic.
            values: One record each; None is a tombstone.
            partition: For all of them. By default each record's key decides, by crc32 as librdkafka
                does and not by murmur2 as Java does; records without one are spread at random.
            keys: As many as `values`.
            headers: Of every record.
            timestamps: Milliseconds since 1970, as many as `values`; now by default.

        Returns:
            Partition and offset of each record.

        Raises:
            confluent_kafka.KafkaException: The first record that was not stored within 30 s.
        """
        producer = Producer(
            self.config(
                # Retries keep the order. An idempotent producer's would too, but its start takes 0.5 s.
                max_in_flight=1,
                linger_ms=0,
                message_timeout_ms=_DELIVERY_S * 1000,
                topic_metadata_propagation_max_ms=2000,  # how long an unknown topic is waited for
                queue_buffering_max_messages=0,
            )
        )
        stored: list[tuple[int, int]] = [(-1, -1)] * len(values)
        errors = []

        def note(index):
            def delivered(error, message):
                if error is not None:
                    errors.append(error)
                else:
                    stored[index] = (message.partition(), message.offset())

            return delivered

        for index, value in enumerate(values):
            optional = {}
            if partition is not None:
                optional["partition"] = partition
            if timestamps is not None:
                optional["timestamp"] = timestamps[index]
            producer.produce(
                topic,
                value,
                key=keys[index] if keys is not None else None,
                headers=list(headers) if headers is not None else None,
                on_delivery=note(index),
                **optional,
            )
        producer.flush(_DELIVERY_S + 5)
        if errors:
            raise KafkaException(errors[0])
        return stored
