"""Which offsets to land next, from what is landed and what the broker holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from recsys_pipeline.kafka.topics import NO_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys_pipeline.kafka.topics import TopicState


@dataclass(frozen=True)
class OffsetRange:
    """Offsets of a partition to land: those from `start` up to, not including, `end`.

    Attributes:
        partition: The partition.
        start: First offset.
        end: The offset after the last.
        after: The landed offset at which the range was planned; None where none has landed. It is
            `start`, unless the broker no longer holds the offsets between.
    """

    partition: int
    start: int
    end: int
    after: int | None


@dataclass(frozen=True)
class Plan:
    """What to land of a topic.

    Attributes:
        ranges: One per partition that has something to land.
        lag: Messages not landed, by partition.
        notices: What an operator must know, one sentence each.
    """

    ranges: tuple[OffsetRange, ...] = ()
    lag: Mapping[int, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def plan_ranges(
    state: TopicState,
    committed: Mapping[int, int | None],
    *,
    messages: int,
    start: Literal["earliest", "latest"] = "earliest",
) -> Plan:
    """Plan the next ranges of a topic.

    Args:
        state: What the broker holds.
        committed: The landed offset of each partition; None where none has landed.
        messages: Messages of all ranges together at most, shared evenly between partitions.
        start: Where a topic begins of which nothing has landed. A partition added to a topic that
            has landed begins at its first offset.
    """
    is_new = all(offset is None for offset in committed.values())
    found: list[OffsetRange] = []
    lag: dict[int, int] = {}
    notices: list[str] = []
    for partition, (low, high) in sorted(state.watermarks.items()):
        where = f"{state.name}/{partition}"
        after = committed.get(partition)
        begin = after
        if begin is None:
            begin = high if is_new and start == "latest" else low
        elif begin > high:
            notices.append(
                f"{where} ends at {high}, before its landed offset {begin}: {_behind(state)}"
            )
            continue
        elif begin < low:
            notices.append(
                f"{where} has lost the offsets {begin} to {low - 1}: the broker's retention "
                f"removed {low - begin:,} before they had landed; landing goes on at {low}"
            )
            begin = low
        lag[partition] = high - begin
        if begin < high or (after is None and begin > 0) or (after is not None and begin > after):
            found.append(OffsetRange(partition, begin, high, after))
    return Plan(tuple(_shared(found, messages)), lag, tuple(notices))


def _behind(state: TopicState) -> str:
    if state.topic_id == NO_ID:
        return (
            "the topic was made anew; run `recsys kafka reset --topic "
            f"{state.name} --to earliest` to land it"
        )
    return "the broker has lost what it had acknowledged; nothing is landed until it is past it"


def _shared(ranges: list[OffsetRange], messages: int) -> list[OffsetRange]:
    """Cut ranges so that together they hold at most `messages`, the short ones whole."""
    left = messages
    cut: list[OffsetRange] = []
    for count, one in enumerate(sorted(ranges, key=lambda r: r.end - r.start)):
        share = left // (len(ranges) - count)
        end = min(one.end, one.start + max(share, 1))
        left -= end - one.start
        cut.append(OffsetRange(one.partition, one.start, end, one.after))
    return sorted(cut, key=lambda r: r.partition)
