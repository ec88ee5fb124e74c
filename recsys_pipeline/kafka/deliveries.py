"""What became of the messages of a producer: counted, with the reason of the first failure."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confluent_kafka import KafkaError as CimplKafkaError
    from confluent_kafka import Message

TOO_LARGE = "MSG_SIZE_TOO_LARGE"


@dataclass(frozen=True)
class ProducerStats:
    """What was sent so far.

    Attributes:
        messages: Messages handed over.
        bytes: Size of their values before compression.
        seconds: From the first message until the last flush, or until now if more was sent since.
        delivered: Messages that all in-sync replicas have.
        failed: Messages given up.
        error: Why the first of those was; None where there is none.
    """

    messages: int
    bytes: int
    seconds: float
    delivered: int
    failed: int
    error: str | None

    @property
    def messages_per_second(self) -> float:
        """Messages handed over per second; 0 before the first."""
        return self.messages / self.seconds if self.seconds else 0.0


class Deliveries:
    """Counts for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages = self._bytes = self._delivered = self._failed = self._lost = 0
        self._error: str | None = None
        self._heard: str | None = None
        self._began: float | None = None
        self._ended: float | None = None

    def begin(self) -> None:
        """Start the clock, before a message is handed over."""
        if self._began is None:
            self._began = time.monotonic()
        self._ended = None

    def end(self) -> None:
        """Stop the clock."""
        self._ended = time.monotonic()

    def hand_over(self, size: int) -> int:
        """Count a message; returns how many there are with it."""
        with self._lock:
            self._messages += 1
            self._bytes += size
            return self._messages

    def report(self, error: CimplKafkaError | None, message: Message) -> None:
        """Count what librdkafka reports of a message."""
        if error is None:
            with self._lock:
                self._delivered += 1
            return
        words = f"{message.topic()}: {error.str()}"
        if error.name().startswith("_") and self._heard:  # not the broker's own word
            words += f"; {self._heard}"
        self.fail(error.name(), words)

    def fail(self, name: str, words: str) -> None:
        """Count a message given up, by librdkafka's name of the error."""
        with self._lock:
            self._failed += 1
            self._lost += name != TOO_LARGE
            self._error = self._error or words

    def hear(self, error: CimplKafkaError) -> None:
        """Keep what librdkafka says of a broker: it may be why messages get lost."""
        if error.name() != "_ALL_BROKERS_DOWN":
            self._heard = error.str()

    @property
    def is_losing(self) -> bool:
        """Whether a message was lost for another reason than its size."""
        return self._lost > 0

    @property
    def undelivered(self) -> int:
        """Messages of which no delivery is reported."""
        return self._messages - self._delivered

    def summary(self) -> str:
        """Return how many were not delivered, and why."""
        why = self._error or self._heard or "no answer"
        return f"{self.undelivered:,} of {self._messages:,} messages were not delivered ({why})"

    def stats(self) -> ProducerStats:
        """Return the counts of this moment."""
        now = time.monotonic()
        with self._lock:
            return ProducerStats(
                messages=self._messages,
                bytes=self._bytes,
                seconds=(self._ended or now) - (self._began or now),
                delivered=self._delivered,
                failed=self._failed,
                error=self._error,
            )
