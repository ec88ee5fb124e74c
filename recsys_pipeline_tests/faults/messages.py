"""Random messages of a topic, each with what must become of it: the oracle of the landing suite."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, Producer

from recsys_pipeline_tests.landed import START

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable
    from datetime import date

    from recsys_pipeline_tests.kafka.broker import Broker

TENANTS = ("acme", "beta")
TYPES = ("view", "click", "like", "add_to_cart", "purchase")
MIDNIGHT = datetime.combine(START, datetime.min.time(), UTC)
UNREADABLE = (b"not json", b"[1]", b'{"tenant": "acme"', b"\xff\xfe", b"7")
NOBODYS = (
    (None, "tenant.present"),
    ("", "tenant.present"),
    ("Bad Name", "tenant.form"),
    ("unassigned", "tenant.form"),
)
DELIVERY_SECONDS = 30


@dataclass(frozen=True)
class Fate:
    """What must become of a message.

    Attributes:
        tenant: Under which it lands.
        day: Under which it lands; None is the day of its receipt.
        problem: Why it could not be read, if it could not.
        number: Tells one message from another, whatever copies there are; None where the message
            can't carry it.
        key: Of the messages with the same key one is valid; None for those that never are.
        rank: The one of the highest rank is valid.
    """

    tenant: str
    day: date | None = None
    problem: str | None = None
    number: int | None = None
    key: tuple[object, ...] | None = None
    rank: int = 0


@dataclass(frozen=True)
class Message:
    """What is sent, and its fate."""

    value: bytes | None
    fate: Fate
    header: str | None = None


class Writer:
    """Makes up messages of a schedule.

    Args:
        rng: Source of all choices.
        kind: `interactions` or `items`.
        days: Number of days; later portions bring earlier days too.
        tenants: How many.
    """

    def __init__(self, rng: random.Random, kind: str, days: int, tenants: int) -> None:
        self._rng = rng
        self._kind = kind
        self._days = days
        self._tenants = TENANTS[:tenants]
        self._number = 0
        self._good: list[Message] = []

    def portion(self, count: int) -> list[Message]:
        return [self._any() for _ in range(count)]

    def _any(self) -> Message:
        chance = self._rng.random()
        if chance < 0.12 and self._good:
            return self._rng.choice(self._good)  # an exact repeat
        if chance < 0.22:
            return self._unassigned()
        if chance < 0.32:
            return self._bad()
        message = self._event() if self._kind == "interactions" else self._item()
        self._good.append(message)
        return message

    def _event(self, **more: object) -> Message:
        rng, number = self._rng, self._next()
        day, seconds = rng.randrange(self._days), rng.randrange(86_400)
        tenant = rng.choice(self._tenants)
        fields = {
            "tenant": tenant,
            "user_id": f"u{rng.randrange(4)}",
            "item_id": f"i{rng.randrange(5)}",
            "interaction_type": rng.choice(TYPES),
            "timestamp": (MIDNIGHT + timedelta(days=day, seconds=seconds)).isoformat(),
            "event_id": f"e{number}",
            "n": number,
        }
        key = (tenant, day, number)
        return self._owned(fields | more, Fate(tenant, _date(day), None, number, key))

    def _item(self, **more: object) -> Message:
        rng, number = self._rng, self._next()
        day, item = rng.randrange(self._days), f"i{rng.randrange(5)}"
        tenant = rng.choice(self._tenants)
        # later versions of a day come with later numbers
        at = MIDNIGHT + timedelta(days=day, seconds=number)
        fields = {
            "tenant": tenant,
            "item_id": item,
            "title": f"Title {item}",
            "category": "Audio",
            "updated_at": at.isoformat(),
            "n": number,
        }
        fate = Fate(tenant, _date(day), None, number, (tenant, day, item), number)
        return self._owned(fields | more, fate)

    def _owned(self, fields: dict[str, object], fate: Fate) -> Message:
        """Name the tenant in the field, or now and then in the header."""
        if self._rng.random() < 0.1:
            fields = {name: value for name, value in fields.items() if name != "tenant"}
            return Message(json.dumps(fields).encode(), fate, fate.tenant)
        return Message(json.dumps(fields).encode(), fate)

    def _bad(self) -> Message:
        """Return a message that a rule rejects, or whose time can't be read."""
        broken: dict[str, object] = {"item_id": ""}
        if self._kind == "interactions":
            broken = self._rng.choice(
                [{"interaction_type": "wink"}, {"rating": 7}, {"user_id": None}, {"timestamp": "?"}]
            )
        message = self._event(**broken) if self._kind == "interactions" else self._item(**broken)
        fate = message.fate
        if "timestamp" in broken:
            fate = Fate(fate.tenant, None, "timestamp.readable")
        return Message(message.value, Fate(fate.tenant, fate.day, fate.problem), message.header)

    def _unassigned(self) -> Message:
        """Return a message that is nobody's: no object, a tombstone, or of no tenant."""
        rng = self._rng
        chance = rng.random()
        if chance < 0.3:
            return Message(None, Fate("unassigned", None, "line.readable"))
        if chance < 0.6:
            return Message(rng.choice(UNREADABLE), Fate("unassigned", None, "line.readable"))
        if chance < 0.7:
            value = json.dumps({"tenant": "acme", "item_id": "i1"}).encode()
            return Message(value, Fate("unassigned", None, "tenant.agrees"), "beta")
        tenant, problem = rng.choice(NOBODYS)
        value = json.dumps({"tenant": tenant, "item_id": "i1"}).encode()
        return Message(value, Fate("unassigned", None, problem))

    def _next(self) -> int:
        self._number += 1
        return self._number


def produce(
    broker: Broker, topic: str, messages: Iterable[tuple[int, Message]]
) -> dict[tuple[str, int], Message]:
    """Write messages to the given partitions, and wait until they are acknowledged.

    Returns:
        What was acknowledged, by (source, offset) as the landing names them.

    Raises:
        confluent_kafka.KafkaException: One was not.
    """
    producer = Producer(
        broker.config(max_in_flight=1, linger_ms=0, message_timeout_ms=DELIVERY_SECONDS * 1000)
    )
    stored: dict[tuple[str, int], Message] = {}
    errors = []

    def note(message):
        def delivered(error, sent):
            if error is not None:
                errors.append(error)
            else:
                stored[f"kafka:{topic}/{sent.partition()}", sent.offset()] = message

        return delivered

    for partition, message in messages:
        producer.produce(
            topic,
            message.value,
            partition=partition,
            headers=[("tenant", message.header.encode())] if message.header else None,
            on_delivery=note(message),
        )
    producer.flush(DELIVERY_SECONDS + 5)
    if errors:
        raise KafkaException(errors[0])
    return stored


def _date(day: int) -> date:
    return START + timedelta(days=day)
