"""Notices to Kafka of what has been published and landed, once each.

What is owed is written before a publication is switched or a batch lands, and removed once the broker
has it: a crash between the two owes a notice and loses none. What a crash left between sending and
removing is looked up in the topic itself, from the offsets that were its end before.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from recsys_pipeline.engines.batch_notices import landed_notice
from recsys_pipeline.engines.publication_notices import Publications, publication_topics
from recsys_pipeline.engines.release_notices import released_notice
from recsys_pipeline.errors import KafkaError
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.kafka.reader import RangeReader
from recsys_pipeline.kafka.topics import topic_state
from recsys_pipeline.storage.layout import BATCHES, NOTICES, NOTICES_SENDING, RELEASED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore

# a publication takes seconds: what is owed for longer was never published, or was replaced
ABANDONED_SECONDS = 3600.0
RELEASE_ABANDONED_SECONDS = 24 * 3600.0  # its files are put in place after it is noted
AT_ONCE = 1000
# a run does not wait long for a broker that is down
ANSWER_SECONDS = 5.0
READ_MESSAGES, READ_BYTES = 10_000, 16 * 2**20


@dataclass(frozen=True)
class _Owed:
    """A notice that is to be sent.

    Attributes:
        path: Where it is noted.
        topic: Where it goes.
        message: What it says; `id` and `tenant` are among it.
    """

    path: str
    topic: str
    message: dict[str, object]


def send_notices(settings: Settings, objects: ObjectStore) -> int:
    """Send what is owed of publications and releases in place and of batches that have landed.

    Args:
        settings: Brokers and topics.
        objects: The store.

    Returns:
        The number of notices that were sent.

    Raises:
        KafkaError: No broker answers, or a topic is not there; what is owed to it stays owed.
    """
    if not is_configured(settings) or not objects.list(NOTICES):
        return 0
    sent = 0
    errors: list[KafkaError] = []
    with objects.lock("notices"):
        owed = _owed(settings, objects, sorted(objects.list(NOTICES))[:AT_ONCE])
        for topic in sorted({one.topic for one in owed}):
            try:
                sent += _send_owed(settings, objects, [one for one in owed if one.topic == topic])
            except KafkaError as error:  # the others' topics may be there
                errors.append(error)
    if errors:
        raise errors[0]
    return sent


def _owed(settings: Settings, objects: ObjectStore, paths: Collection[str]) -> list[_Owed]:
    """Return the notices of what is in place; forget those of what never will be."""
    publications = Publications(objects)
    topic_of = publication_topics(settings) | {
        BATCHES: settings.kafka_batches_topic,
        RELEASED: settings.kafka_training_topic,
    }
    found: list[_Owed] = []
    for path in paths:
        about, day, tenant, name = path.removeprefix(NOTICES).split("/")
        name = name.removesuffix(".json")
        body = json.loads(objects.read(path) or b"{}")
        if about == BATCHES:
            message = landed_notice(settings, tenant, name.partition(".")[0])
        elif about == RELEASED:
            message = released_notice(objects, tenant, name.partition(".")[0])
        else:
            message = publications.notice(about, day, tenant, name, body.get("id", path))
        if message is not None:
            found.append(_Owed(path, topic_of[about], message))
        elif time.time() - body.get("at", 0.0) > (
            RELEASE_ABANDONED_SECONDS if about == RELEASED else ABANDONED_SECONDS
        ):
            objects.delete(path)
    return found


def _send_owed(settings: Settings, objects: ObjectStore, owed: Sequence[_Owed]) -> int:
    """Send the notices of one topic that a sender which did not end has not sent."""
    topic = owed[0].topic
    there = _sent_before_a_crash(settings, objects, topic)
    new = {one.message["id"]: one for one in owed if one.message["id"] not in there}
    left = list(new.values())
    _send(settings, left)
    for one in owed:
        objects.delete(one.path)
    _note_sending(objects, topic, None)
    return len(left)


def _sending(objects: ObjectStore) -> dict[str, dict[str, int]]:
    """Return, by topic to which a sender has begun to send, where its partitions ended before."""
    found: dict[str, dict[str, int]] = json.loads(objects.read(NOTICES_SENDING) or b"{}")
    return found


def _note_sending(objects: ObjectStore, topic: str, ends: dict[str, int] | None) -> None:
    sending = _sending(objects)
    sending.pop(topic, None)
    if ends is not None:
        sending[topic] = ends
    if sending:
        objects.write(NOTICES_SENDING, json.dumps(sending).encode())
    else:
        objects.delete(NOTICES_SENDING)


def _sent_before_a_crash(settings: Settings, objects: ObjectStore, topic: str) -> set[str]:
    """Return the ids that a sender which did not end has left in a topic.

    Writes down where the topic ends now, unless such a sender has.
    """
    state = topic_state(settings, topic, ANSWER_SECONDS)
    before = _sending(objects).get(topic)
    if before is None:
        ends = {str(p): high for p, (_, high) in state.watermarks.items()}
        _note_sending(objects, topic, ends)
        return set()
    found: set[str] = set()
    with RangeReader(settings, topic) as reader:
        for partition, (low, high) in state.watermarks.items():
            start = max(low, min(before.get(str(partition), low), high))
            for chunk in reader.read(
                partition, start, high, messages=READ_MESSAGES, size=READ_BYTES
            ):
                found |= {_id(value) for value in chunk.values}
    return found


def _id(value: bytes) -> str:
    try:
        message: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return ""
    return str(message.get("id", "")) if isinstance(message, dict) else ""


def _send(settings: Settings, owed: Sequence[_Owed]) -> None:
    from recsys_pipeline.kafka.producer import EventProducer

    if not owed:
        return
    with EventProducer(settings) as producer:
        for one in owed:
            producer.send(one.topic, one.message, key=str(one.message["tenant"]))
