"""Ranges of a Kafka topic into the landing zone, each message exactly once.

Rows and offset are committed in one transaction, so that both are there or neither is. A range is
refused unless it begins at the landed offset, whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.errors import KafkaError, OffsetError, SettingsError
from recsys_pipeline.ingestion.messages import MessageRows, MessageSource, header_tenant
from recsys_pipeline.ingestion.normalise import SCHEMAS
from recsys_pipeline.kafka.ranges import Plan, plan_ranges
from recsys_pipeline.kafka.reader import RangeReader
from recsys_pipeline.kafka.topics import topic_state
from recsys_pipeline.storage.erased import read_erased
from recsys_pipeline.storage.landing import Kind, Landing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys_pipeline.kafka.ranges import OffsetRange
    from recsys_pipeline.kafka.reader import Chunk
    from recsys_pipeline.kafka.topics import TopicState
    from recsys_pipeline.settings import Settings

# called after each transaction with what has become of its range so far
Progress = Callable[["RangeLanded"], None]


@dataclass
class RangeLanded:
    """What became of one range.

    Attributes:
        partition: The partition.
        start: First offset landed.
        end: The offset after the last one landed; below the range's where a transaction of a
            producer is still open.
        rows: Rows landed, quarantined ones included.
        bytes: Size of the messages' values.
        unreadable: Rows with a problem, by reason.
        days: Rows by (day, tenant).
    """

    partition: int
    start: int
    end: int
    rows: int = 0
    bytes: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)
    days: dict[tuple[date, str], int] = field(default_factory=dict)


def topics(settings: Settings) -> dict[str, Kind]:
    """Return the topics that are landed, and the table of each.

    Raises:
        SettingsError: Both are the same topic.
    """
    found: dict[str, Kind] = {
        settings.kafka_interactions_topic: "interactions",
        settings.kafka_items_topic: "items",
    }
    if len(found) == 1:
        raise SettingsError(
            "RECSYS_KAFKA_ITEMS_TOPIC",
            f"{settings.kafka_items_topic!r} is the topic of events too",
            "Name two topics",
        )
    return found


def kind_of(settings: Settings, topic: str) -> Kind:
    """Return the table in which a topic lands.

    Raises:
        SettingsError: The topic is not one of those that are landed.
    """
    found = topics(settings)
    if topic not in found:
        raise SettingsError(
            f"topic {topic!r}", f"is none of {', '.join(sorted(found))}", "Name one of them"
        )
    return found[topic]


def committed_offsets(landing: Landing, state: TopicState) -> dict[int, int | None]:
    """Return the landed offset of each partition of a topic, None where none has landed."""
    snapshot = landing.snapshot()
    return {p: snapshot.offset(state.app_id(p)) for p in state.watermarks}


def plan(settings: Settings, topic: str, timeout: float | None = None) -> tuple[TopicState, Plan]:
    """Ask broker and landing zone what to land next of a topic; reads no message.

    Raises:
        KafkaError: No broker answers, or there is no such topic.
    """
    landing = Landing(settings.storage_root, kind_of(settings, topic))
    state = topic_state(settings, topic, timeout)
    planned = plan_ranges(
        state,
        committed_offsets(landing, state),
        messages=settings.kafka_run_messages,
        start=settings.kafka_start,
    )
    return state, planned


def land_ranges(
    settings: Settings,
    topic: str,
    topic_id: str,
    ranges: Sequence[OffsetRange],
    *,
    progress: Progress | None = None,
) -> list[RangeLanded]:
    """Land ranges of a topic, in transactions of bounded size.

    A failure leaves what was committed before it: the next range begins there. It keeps no other
    partition from landing.

    Args:
        settings: Brokers, limits and tenants.
        topic: The topic.
        topic_id: Its id when the ranges were planned.
        ranges: What to land.
        progress: Called after each transaction.

    Raises:
        OffsetError: A range does not begin at the landed offset; nothing of it has landed.
        KafkaError: No broker answers, or the topic is another one by now.
        RecsysError: The first failure of a partition, once the others have landed.
    """
    kind = kind_of(settings, topic)
    landing = Landing(settings.storage_root, kind)
    state = topic_state(settings, topic)
    if state.topic_id != topic_id:
        raise KafkaError(
            f"topic {topic!r}",
            f"was made anew: it is {state.topic_id} now, the ranges are of {topic_id}",
            "The sensor plans again",
        )
    landed: list[RangeLanded] = []
    failures: list[Exception] = []
    with RangeReader(settings, topic) as reader:
        for one in ranges:
            try:
                _check_gap(state, one)
                landed.append(_land(settings, landing, state, one, reader, progress))
            except Exception as error:  # noqa: BLE001  # raised below
                failures.append(error)
    if failures:
        raise failures[0]
    return landed


def _check_gap(state: TopicState, one: OffsetRange) -> None:
    """Refuse to pass over offsets that the broker still holds."""
    low, high = state.watermarks.get(one.partition, (0, 0))
    where = f"{state.name}/{one.partition}"
    if one.end > high:
        raise OffsetError(where, f"ends at {high}, before {one.end}", "Plan the range anew")
    if one.after is not None and one.start > one.after and low < one.start:
        raise OffsetError(
            where,
            f"still holds offset {max(low, one.after)}, which the range from {one.start} passes over",
            "Plan the range anew",
        )


def _land(
    settings: Settings,
    landing: Landing,
    state: TopicState,
    one: OffsetRange,
    reader: RangeReader,
    progress: Progress | None,
) -> RangeLanded:
    app_id = state.app_id(one.partition)
    done = RangeLanded(one.partition, one.start, one.start)
    # refused with its reason before anything is read; the commit looks again
    landing.require_offset(app_id, one.after)
    if one.start == one.end:
        # settles where the partition begins
        nothing = pl.DataFrame(schema=SCHEMAS[landing.kind])
        landing.append_offsets(nothing, app_id=app_id, after=one.after, end=one.end)
        return done
    after = one.after
    limits = {"messages": settings.kafka_commit_messages, "size": settings.kafka_commit_bytes}
    for chunk in reader.read(one.partition, one.start, one.end, **limits):
        rows = _rows(settings, landing, state, one.partition, chunk, done)
        landing.append_offsets(rows, app_id=app_id, after=after, end=chunk.end)
        after = done.end = chunk.end
        _count(done, rows)
        if progress is not None:
            progress(done)
    return done


def _rows(
    settings: Settings,
    landing: Landing,
    state: TopicState,
    partition: int,
    chunk: Chunk,
    done: RangeLanded,
) -> pl.DataFrame:
    source = MessageSource(
        kind=landing.kind,
        batch_id=state.app_id(partition),
        source=f"kafka:{state.name}/{partition}",
        received_at=datetime.now(UTC),
        start_date=settings.start_date,
        allowed=settings.kafka_topic_tenants.get(state.name),
    )

    def known_items(tenant: str) -> pl.Series:
        ids = landing.snapshot().scan(tenants=[tenant]).select(pl.col("item_id").drop_nulls())
        return ids.unique().collect(engine="streaming")["item_id"]

    done.bytes += chunk.size
    headers: list[str | None] = [None] * len(chunk.headers)
    if any(chunk.headers):
        headers = [header_tenant(found) if found else None for found in chunk.headers]
    erased = read_erased(landing.store)
    return MessageRows(settings, source, known_items, erased).rows(
        chunk.values, chunk.offsets, headers
    )


def _count(done: RangeLanded, rows: pl.DataFrame) -> None:
    done.rows += rows.height
    for problem, count in rows["problem"].drop_nulls().value_counts().iter_rows():
        done.unreadable[problem] = done.unreadable.get(problem, 0) + count
    for day, tenant, count in rows.group_by("date", "tenant").len().iter_rows():
        done.days[day, tenant] = done.days.get((day, tenant), 0) + count
