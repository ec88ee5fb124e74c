"""A client that sends events and item versions: for our commands, and for other teams' services.

Example:
    with EventProducer(get_settings()) as producer:
        producer.interaction({"user_id": "u1", "item_id": "p9", ...}, tenant="acme")
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import orjson
from confluent_kafka import KafkaException, Producer

from recsys_pipeline.errors import KafkaError, SettingsError, TenantError
from recsys_pipeline.kafka.config import client_config, log, reason
from recsys_pipeline.kafka.deliveries import TOO_LARGE, Deliveries
from recsys_pipeline.tenants import UNASSIGNED, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from recsys_pipeline.kafka.deliveries import ProducerStats
    from recsys_pipeline.settings import Settings

    Headers = list[tuple[str, str | bytes | None]]

# without them a retry could write twice, or change the order of a key's messages
_FIXED = {"enable.idempotence": True, "acks": "all"}
_TUNED = {
    "linger.ms": 20,
    "compression.type": "zstd",
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
    # a key goes to the partition where a Java client puts it
    "partitioner": "murmur2_random",
}
_TENANT = "tenant"
_POLL_EVERY = 256  # messages; serving reports after each one would cost more than sending it
_SLICE_SECONDS = 0.2  # Ctrl-C is noticed between two
_GRACE_SECONDS = 5.0  # librdkafka looks for messages that are out of time once a second
_INTERRUPTED_SECONDS = 1.0


class EventProducer:
    """Sends messages in the background, each once, those of a key in their order.

    A message that the broker does not acknowledge within `message.timeout.ms` (by default
    `kafka_timeout_seconds`) is given up and counted. Use the producer as a context manager, or call
    `close`: that is where lost messages become an error. One serves all threads of a process; a
    forked process needs its own.

    Args:
        settings: The brokers, the security options and the topics.
        options: librdkafka properties that beat those of the settings, such as `linger.ms`.

    Raises:
        SettingsError: No broker is configured, or a property is wrong.
    """

    def __init__(
        self, settings: Settings, options: Mapping[str, str | float | bool] | None = None
    ) -> None:
        self._settings = settings
        self._deliveries = Deliveries()
        self._closed = False
        self._headers: dict[str, Headers] = {}
        config = {**_TUNED, **client_config(settings), **(options or {}), **_FIXED}
        own = int(settings.kafka_timeout_seconds * 1000)
        # librdkafka knows this property under two names
        timeout = config.pop("delivery.timeout.ms", config.get("message.timeout.ms", own))
        config["message.timeout.ms"] = timeout
        self._producer = _client(config, self._deliveries)
        self._patience = float(timeout) / 1000 + _GRACE_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        interrupted = not issubclass(kind, Exception)
        self._end(_INTERRUPTED_SECONDS if interrupted else self._patience)
        if self._deliveries.undelivered:
            # the error that ended the block is the one to be raised
            log.warning("%s", self._deliveries.summary())

    def interaction(self, event: Mapping[str, Any], *, tenant: str | None = None) -> None:
        """Send an event to the topic of events; its key is the user.

        Args:
            event: Its fields, as the tenant's mapping reads them. A time without offset is in the
                mapping's time zone.
            tenant: Whose event it is; may be left out where the event has a field `tenant`.

        Raises:
            TenantError: There is no tenant, two different ones, or its name is not acceptable.
            KafkaError: See `send`.
        """
        self._send_own(self._settings.kafka_interactions_topic, event, "user_id", tenant)

    def item(self, item: Mapping[str, Any], *, tenant: str | None = None) -> None:
        """Send a version of an item to the topic of items; its key is the item.

        Args:
            item: Its fields, as the tenant's mapping reads them.
            tenant: Whose item it is; may be left out where the item has a field `tenant`.

        Raises:
            TenantError: There is no tenant, two different ones, or its name is not acceptable.
            KafkaError: See `send`.
        """
        self._send_own(self._settings.kafka_items_topic, item, "item_id", tenant)

    def _send_own(
        self, topic: str, fields: Mapping[str, Any], key_field: str, tenant: str | None
    ) -> None:
        field = fields.get(_TENANT)
        owner = field if tenant is None else tenant
        if owner is None:
            raise TenantError(
                f"message for {topic!r}", "names no tenant", "Give tenant=, or a field `tenant`"
            )
        if field not in (None, owner):
            raise TenantError(
                f"tenant {owner!r}", f"contradicts the field tenant {field!r}", "Leave one out"
            )
        key = fields.get(key_field)
        self.send(topic, fields, key=None if key is None else str(key), tenant=str(owner))

    def send(
        self,
        topic: str,
        value: Mapping[str, Any] | bytes,
        *,
        key: str | bytes | None = None,
        tenant: str | None = None,
    ) -> None:
        """Hand over one message; waits only while the local queue is full.

        Args:
            topic: The topic.
            value: Bytes go as they are. An object goes as JSON: times as ISO 8601, decimals as text.
            key: Messages of one key stay in order; without it the partition is drawn.
            tenant: Goes into the header `tenant`.

        Raises:
            TenantError: The tenant's name is not acceptable.
            KafkaError: The value is no JSON, the local queue stays full, or the producer has failed
                for good. A message that is too large is no error here: it counts as failed.
        """
        data = value if isinstance(value, bytes) else _json(topic, value)
        headers = None if tenant is None else self._header(tenant)
        self._deliveries.begin()
        refused = self._put(topic, data, key or None, headers)
        count = self._deliveries.hand_over(len(data))
        if refused:
            self._deliveries.fail(TOO_LARGE, f"{topic}: {len(data):,} bytes: {refused}")
        if count % _POLL_EVERY == 0:
            _until_interrupted(self._producer.poll, 0)

    def _header(self, tenant: str) -> Headers:
        if tenant not in self._headers:
            if check_name(tenant) == UNASSIGNED:
                raise TenantError(f"tenant {tenant!r}", "is a reserved name", "Choose another")
            self._headers[tenant] = [(_TENANT, tenant.encode())]
        return self._headers[tenant]

    def _put(
        self, topic: str, data: bytes, key: str | bytes | None, headers: Headers | None
    ) -> str | None:
        """Enqueue a message; returns a word on its size where that is too large."""
        until: float | None = None
        while True:
            try:
                self._producer.produce(topic, data, key, headers=headers)
            except BufferError:
                now = time.monotonic()
                until = until or now + self._patience
                if now > until:
                    raise self._failure(f"has taken nothing for {self._patience:g} s") from None
                _until_interrupted(self._producer.poll, _SLICE_SECONDS)
            except KafkaException as error:
                if error.args[0].name() == TOO_LARGE:
                    return reason(error)
                words = f"takes no message for {topic!r} ({reason(error)})"
                raise self._failure(words) from None
            else:
                return None

    def wait(self, seconds: float) -> None:
        """Wait, and count deliveries meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            _until_interrupted(self._producer.poll, min(left, _SLICE_SECONDS))

    def flush(self, timeout: float | None = None) -> int:
        """Wait until every message is delivered or given up.

        Args:
            timeout: Seconds; by default a little more than a message may take.

        Returns:
            The messages whose fate is still open.
        """
        until = time.monotonic() + (self._patience if timeout is None else timeout)
        left = _until_interrupted(self._producer.flush, 0)
        while left and (rest := until - time.monotonic()) > 0:
            left = _until_interrupted(self._producer.flush, min(rest, _SLICE_SECONDS))
        self._deliveries.end()
        return left

    def close(self) -> None:
        """Flush, and end the producer.

        Raises:
            KafkaError: Messages were not delivered; it says how many and why.
        """
        self._end(self._patience)
        if self._deliveries.undelivered:
            raise self._failure(self._deliveries.summary())

    def _end(self, timeout: float) -> None:
        if self._closed:
            return
        if self.flush(timeout):
            # what is named as lost must not arrive later
            self._producer.purge()
            _until_interrupted(self._producer.poll, _SLICE_SECONDS)
        self._closed = True
        self._producer.close()

    @property
    def stats(self) -> ProducerStats:
        """What was sent so far."""
        if not self._closed:
            _until_interrupted(self._producer.poll, 0)
        return self._deliveries.stats()

    @property
    def is_losing(self) -> bool:
        """Whether a message was lost for another reason than its size: the next would be too."""
        return self._deliveries.is_losing

    def _failure(self, words: str) -> KafkaError:
        return KafkaError(
            f"broker {self._settings.kafka_bootstrap_servers}",
            words,
            "Mend that and send again; an event that had arrived is quarantined as a duplicate",
        )


def _client(config: dict[str, Any], deliveries: Deliveries) -> Producer:
    calls = {"on_delivery": deliveries.report, "error_cb": deliveries.hear}
    try:
        return Producer({**config, **calls}, logger=log)
    except (KafkaException, TypeError, ValueError) as error:
        words = reason(error) if isinstance(error, KafkaException) else str(error)
        raise SettingsError(
            "RECSYS_KAFKA_OPTIONS", f"fit no producer ({words})", "Mend that property"
        ) from None


def _until_interrupted(call: Callable[[float], int], seconds: float) -> int:
    try:
        return call(seconds)
    except SystemError:
        # a Ctrl-C that meets a callback of ours gets lost: confluent-kafka-python issue 1708
        raise KeyboardInterrupt from None


def _json(topic: str, value: Mapping[str, Any]) -> bytes:
    try:
        # orjson knows dicts, not every Mapping
        return orjson.dumps(value if isinstance(value, dict) else dict(value), default=_text)
    except (TypeError, ValueError) as error:
        raise KafkaError(
            f"message for {topic!r}", f"can't be written as JSON ({error})", "Send text or numbers"
        ) from None


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")
