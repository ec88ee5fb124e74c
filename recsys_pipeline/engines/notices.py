"""Notices of published features and samples to Kafka, once per publication.

What is owed is written before the publication is switched, and removed once the broker has it: a
crash between the two owes a notice and loses none. What a crash left between sending and removing
is looked up in the topic itself, from the offsets that were its end before.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson

from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.kafka.reader import RangeReader
from recsys_pipeline.kafka.topics import topic_state
from recsys_pipeline.storage.layout import NOTICES, NOTICES_SENDING, data_file, notice_file
from recsys_pipeline.storage.records import Records

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from recsys_pipeline.engines.view import View
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore
    from recsys_pipeline.storage.records import Record

# a publication takes seconds: what is owed for longer was never published, or was replaced
ABANDONED_SECONDS = 3600.0
AT_ONCE = 1000
# a run does not wait long for a broker that is down
ANSWER_SECONDS = 5.0
READ_MESSAGES, READ_BYTES = 10_000, 16 * 2**20


@dataclass(frozen=True)
class Notice:
    """What a reader of the topics learns of a publication.

    Attributes:
        id: Identity of the notice.
        asset: The table.
        partition: The day, ISO 8601.
        tenant: Whose rows.
        path: Address of the file; None where the tenant has no rows of that day any more.
        rows: Rows in it.
        data_version: Hash of the file's bytes.
        published_at: ISO 8601 UTC time.
    """

    id: str
    asset: str
    partition: str
    tenant: str
    path: str | None
    rows: int
    data_version: str
    published_at: str


def topics(settings: Settings) -> dict[str, str]:
    """Return the topic of each table whose publications are announced."""
    return {
        "user_features": settings.kafka_features_topic,
        "item_features": settings.kafka_features_topic,
        "training_samples": settings.kafka_training_topic,
    }


def owe_notice(view: View, asset: str, day: date, tenant: str, inputs: str) -> None:
    """Note, before it is switched, that a publication is to be announced."""
    if not is_configured(view.settings) or asset not in topics(view.settings):
        return
    body = {"id": uuid.uuid4().hex, "at": time.time()}
    path = notice_file(asset, day, tenant, inputs)
    view.store.objects.write(path, json.dumps(body).encode(), durable=False)


def send_notices(settings: Settings, objects: ObjectStore) -> int:
    """Send what is owed of publications that are in place.

    Args:
        settings: Brokers and topics.
        objects: The store.

    Returns:
        The number of notices that were sent.

    Raises:
        KafkaError: No broker answers, or a topic is not there; what is owed stays owed.
    """
    if not is_configured(settings) or not objects.list(NOTICES):
        return 0
    with objects.lock("notices"):
        owed = dict(_owed(objects, sorted(objects.list(NOTICES))[:AT_ONCE]))
        if not owed:
            return 0
        there = _sent_before_a_crash(settings, objects, owed.values())
        topic_of = topics(settings)
        left = [notice for notice in owed.values() if notice.id not in there]
        _send(settings, {notice: topic_of[notice.asset] for notice in left})
        for path in owed:
            objects.delete(path)
        objects.delete(NOTICES_SENDING)
    return len(left)


def _owed(objects: ObjectStore, paths: Collection[str]) -> list[tuple[str, Notice]]:
    """Return the notices whose publication is in place; forget those that never will be."""
    records = Records(objects)
    days: dict[tuple[str, str], Mapping[str, Record]] = {}
    found: list[tuple[str, Notice]] = []
    for path in paths:
        asset, day, tenant, name = path.removeprefix(NOTICES).split("/")
        if (asset, day) not in days:
            days[asset, day] = records.day(asset, date.fromisoformat(day)) or {}
        record = days[asset, day].get(tenant)
        body = json.loads(objects.read(path) or b"{}")
        if record is not None and record.published_inputs == name.removesuffix(".json"):
            file = data_file(asset, date.fromisoformat(day), tenant)
            notice = Notice(
                id=body.get("id", path),
                asset=asset,
                partition=day,
                tenant=tenant,
                path=objects.uri(file) if record.file else None,
                rows=record.rows,
                data_version=record.content,
                published_at=record.published_at,
            )
            found.append((path, notice))
        elif time.time() - body.get("at", 0.0) > ABANDONED_SECONDS:
            objects.delete(path)
    return found


def _sent_before_a_crash(
    settings: Settings, objects: ObjectStore, notices: Collection[Notice]
) -> set[str]:
    """Return the ids that a sender which did not end has left in the topics.

    Writes down where the topics end now, unless such a sender has.
    """
    names = sorted({topics(settings)[notice.asset] for notice in notices})
    states = {name: topic_state(settings, name, ANSWER_SECONDS) for name in names}
    before: dict[str, dict[str, int]] = json.loads(objects.read(NOTICES_SENDING) or b"{}")
    found: set[str] = set()
    for name in names:
        ends = {str(p): high for p, (_, high) in states[name].watermarks.items()}
        if name not in before:
            before[name] = ends
            continue
        with RangeReader(settings, name) as reader:
            for partition, (low, high) in states[name].watermarks.items():
                start = max(low, min(before[name].get(str(partition), low), high))
                for chunk in reader.read(
                    partition, start, high, messages=READ_MESSAGES, size=READ_BYTES
                ):
                    found |= {_id(value) for value in chunk.values}
    objects.write(NOTICES_SENDING, json.dumps(before).encode())
    return found


def _id(value: bytes) -> str:
    try:
        message: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return ""
    return str(message.get("id", "")) if isinstance(message, dict) else ""


def _send(settings: Settings, notices: Mapping[Notice, str]) -> None:
    from recsys_pipeline.kafka.producer import EventProducer

    if not notices:
        return
    with EventProducer(settings) as producer:
        for notice, topic in notices.items():
            producer.send(topic, asdict(notice), key=notice.tenant)
