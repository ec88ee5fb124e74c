"""Landed offsets beside what the broker holds, and moving them by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from recsys_pipeline.errors import KafkaError, OffsetError
from recsys_pipeline.ingestion.kafka_landing import kind_of
from recsys_pipeline.ingestion.normalise import SCHEMAS
from recsys_pipeline.kafka.topics import topic_state
from recsys_pipeline.storage.landing import Landing

if TYPE_CHECKING:
    from datetime import datetime

    from recsys_pipeline.settings import Settings


@dataclass(frozen=True)
class PartitionLag:
    """How far a topic's partition has landed.

    Attributes:
        topic: The topic.
        partition: The partition.
        first: First offset that the broker holds.
        end: The next offset to be written.
        landed: The landed offset: the messages before it have landed. None where nothing has.
        lag: Messages not landed.
        landed_at: When the last row landed, UTC; None where no row has.
    """

    topic: str
    partition: int
    first: int
    end: int
    landed: int | None
    lag: int
    landed_at: datetime | None


def topic_lag(settings: Settings, topic: str, timeout: float | None = None) -> list[PartitionLag]:
    """Compare what a topic holds with what has landed of it.

    Raises:
        KafkaError: No broker answers, or there is no such topic.
    """
    state = topic_state(settings, topic, timeout)
    snapshot = Landing(settings.storage_root, kind_of(settings, topic)).snapshot()
    found = []
    for partition, (low, high) in sorted(state.watermarks.items()):
        app_id = state.app_id(partition)
        landed = snapshot.offset(app_id)
        begin = low if landed is None else max(landed, low)
        found.append(
            PartitionLag(
                topic,
                partition,
                low,
                high,
                landed,
                max(high - begin, 0),
                snapshot.last_received(app_id),
            )
        )
    return found


def reset_offsets(
    settings: Settings,
    topic: str,
    to: Literal["earliest", "latest"] | int,
    partition: int | None = None,
) -> dict[int, tuple[int | None, int]]:
    """Move the landed offset of a topic's partitions, without landing or removing a row.

    Args:
        settings: Brokers and storage.
        topic: The topic.
        to: The broker's first offset, its end, or an offset between.
        partition: One partition; None means all.

    Returns:
        The landed offset before and after, by partition.

    Raises:
        OffsetError: The offset is outside of what the broker holds, or a landing run moved it
            meanwhile.
        KafkaError: No broker answers, or there is no such topic or partition.
    """
    landing = Landing(settings.storage_root, kind_of(settings, topic))
    state = topic_state(settings, topic)
    chosen = sorted(state.watermarks) if partition is None else [partition]
    nothing = pl.DataFrame(schema=SCHEMAS[landing.kind])
    moved: dict[int, tuple[int | None, int]] = {}
    for number in chosen:
        if number not in state.watermarks:
            raise KafkaError(
                f"topic {topic!r}", f"has no partition {number}", "See `recsys kafka lag`"
            )
        low, high = state.watermarks[number]
        target = {"earliest": low, "latest": high}.get(str(to), to)
        if not isinstance(target, int) or not low <= target <= high:
            raise OffsetError(
                f"{topic}/{number}", f"holds no offset {to}", f"Choose from {low} to {high}"
            )
        before = landing.snapshot().offset(state.app_id(number))
        landing.append_offsets(nothing, app_id=state.app_id(number), after=before, end=target)
        moved[number] = (before, target)
    return moved
