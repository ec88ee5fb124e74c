"""Events: sessions of users, visits of items in a session, and the funnel within a visit.

A block of events is made at once, from a generator seeded by (seed, day, block): memory depends
on the block alone, and no block depends on another. A block first draws how many events of each
type it has (multinomial, so the shares hold in expectation), then hands them to visits: each
visit has an intent, and deep types (purchase, cart) go to the visits of highest intent. So a
purchase mostly follows a view, a click and a cart of the same item, while the shares stay those
that were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.generator.calendar import DAY_US, events_per_day, time_of_day
from recsys_pipeline.generator.items import Catalogue, item_ids, numbered
from recsys_pipeline.generator.users import DEVICES, FAVOURITES, Users
from recsys_pipeline.settings import INTERACTION_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from numpy.typing import NDArray

    from recsys_pipeline.generator.config import GeneratorConfig

EVENT_COLUMNS = (
    *("user_id", "item_id", "interaction_type", "timestamp", "rating"),
    *("event_id", "session_id", "device"),
)
# part of the data: another size gives other events
BLOCK_EVENTS = 65_536

_STREAM = 4
_SECOND = 1_000_000
_IDLE_VISITS = 0.05
_IN_FOCUS = 0.75
_FAVOURITE = 0.7
_GAP_IN_VISIT, _GAP_BETWEEN_VISITS, _MAX_GAP = 25.0, 50.0, 900.0
# how loosely a type follows intent: 0 would nest the types exactly
_LOOSENESS = {"view": 4.0, "click": 0.5, "like": 0.8, "add_to_cart": 0.12, "purchase": 0.12}
_RATED = {"view": 0.01, "click": 0.02, "like": 0.6, "add_to_cart": 0.02, "purchase": 0.5}


@dataclass(frozen=True)
class EventBlock:
    """Events of one day in order of time, as integers; all arrays are (n,).

    Attributes:
        day: UTC day.
        time: int64, microseconds of the day, strictly increasing.
        user: int64, user index.
        item: int32, item index.
        kind: int64, index of `INTERACTION_TYPES`.
        rating: float64, half steps from 0.5 to 5; NaN where there is none.
        session: int64, session number within the block.
        device: int64, index of `DEVICES`.
        sessions: Number of sessions.
    """

    day: date
    time: NDArray[np.int64]
    user: NDArray[np.int64]
    item: NDArray[np.int32]
    kind: NDArray[np.int64]
    rating: NDArray[np.float64]
    session: NDArray[np.int64]
    device: NDArray[np.int64]
    sessions: int


def event_blocks(config: GeneratorConfig, catalogue: Catalogue) -> Iterator[EventBlock]:
    """Yield the events, day by day; a block covers a slice of its day."""
    users = Users.of(config)
    for d, events in enumerate(events_per_day(config).tolist()):
        blocks = -(-events // BLOCK_EVENTS)
        bounds = [events * b // blocks for b in range(blocks + 1)]
        for b in range(blocks):
            yield _block(
                config,
                users,
                catalogue,
                day=config.start + timedelta(days=d),
                events=bounds[b + 1] - bounds[b],
                day_slice=(b / blocks, (b + 1) / blocks),
                rng=np.random.default_rng([config.seed, _STREAM, d, b]),
            )


def _block(
    config: GeneratorConfig,
    users: Users,
    catalogue: Catalogue,
    *,
    day: date,
    events: int,
    day_slice: tuple[float, float],
    rng: np.random.Generator,
) -> EventBlock:
    occupied = _funnels(config, events, rng)
    visits = len(occupied)
    visit, kind = np.nonzero(occupied)

    user_of, session_of = users.draw_sessions(visits, rng)
    sessions = len(user_of)
    device_of = users.device(user_of, rng.random(sessions))
    item_of = _visited_items(users, catalogue, user_of, session_of, rng)

    session = session_of[visit]
    offset = _offsets(visit, session, rng)
    first, last = day_slice
    start = time_of_day(first + (last - first) * rng.random(sessions))
    length = np.zeros(sessions, np.int64)
    np.maximum.at(length, session, offset)
    # a session belongs to one day
    start = np.maximum(0, np.minimum(start, DAY_US - _SECOND - length))
    moment = np.minimum(start[session] + offset, DAY_US - 1 - events)
    order = np.argsort(moment, kind="stable")
    tick = np.arange(events)
    # no two events of a block at one microsecond: without event ids they could be duplicates
    moment = np.maximum.accumulate(moment[order] - tick) + tick

    item = item_of[visit]
    return EventBlock(
        day=day,
        time=moment,
        user=user_of[session[order]],
        item=item[order],
        kind=kind[order],
        rating=_ratings(kind, catalogue.quality[item], rng)[order],
        session=session[order],
        device=device_of[session[order]],
        sessions=sessions,
    )


def _funnels(config: GeneratorConfig, events: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Hand a block's events to visits: bool (visits, types), with exactly `events` set."""
    weights = np.array([config.types.get(name, 0.0) for name in INTERACTION_TYPES])
    counts = rng.multinomial(events, weights / weights.sum())
    most = int(counts.max())
    visits = most + int(most * _IDLE_VISITS)
    intent = rng.random(visits)
    occupied = np.zeros((visits, len(counts)), np.bool_)
    for kind, count in enumerate(counts.tolist()):
        if count:
            score = intent + _LOOSENESS[INTERACTION_TYPES[kind]] * rng.random(visits)
            occupied[np.argpartition(score, visits - count)[visits - count :], kind] = True
    return occupied


def _visited_items(
    users: Users,
    catalogue: Catalogue,
    user_of: NDArray[np.int64],
    session_of: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Draw each visit's item: most sessions keep to one category, often one the user likes."""
    sessions, visits = len(user_of), len(session_of)
    taste = users.favourite(user_of, rng.integers(0, FAVOURITES, sessions))
    chosen = np.where(rng.random(sessions) < _FAVOURITE, taste, rng.random(sessions))
    drawn = np.where(rng.random(visits) < _IN_FOCUS, chosen[session_of], rng.random(visits))
    return catalogue.draw_item(catalogue.draw_category(drawn), rng.random(visits))


def _offsets(
    visit: NDArray[np.int64], session: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return microseconds since the start of the session: int64 (events,), increasing in it."""
    same_visit = np.empty(len(visit), np.bool_)
    same_visit[0] = False
    np.equal(visit[1:], visit[:-1], out=same_visit[1:])
    median = np.where(same_visit, _GAP_IN_VISIT, _GAP_BETWEEN_VISITS)
    gap = np.minimum(1 + median * np.exp(rng.standard_normal(len(visit))), _MAX_GAP)
    elapsed = np.cumsum((gap * _SECOND).astype(np.int64))
    first = np.searchsorted(session, session, "left")
    offsets: NDArray[np.int64] = elapsed - elapsed[first]
    return offsets


def _ratings(
    kind: NDArray[np.int64], quality: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Rate some events around the item's quality, in half steps; likes rate higher."""
    rating = np.full(len(kind), np.nan)
    rated = np.flatnonzero(
        rng.random(len(kind)) < np.array([_RATED[name] for name in INTERACTION_TYPES])[kind]
    )
    liked = kind[rated] == INTERACTION_TYPES.index("like")
    raw = quality[rated] + 0.4 * liked + rng.normal(0, 0.8, len(rated))
    rating[rated] = np.clip(np.round(raw * 2) / 2, 0.5, 5.0)
    return rating


def event_frame(
    block: EventBlock, config: GeneratorConfig, *, first_event: int, first_session: int
) -> pl.DataFrame:
    """Render a block as `EVENT_COLUMNS`.

    Args:
        block: The events.
        config: For the widths of ids, the format, and whether there is an `event_id`.
        first_event: Events before this block.
        first_session: Sessions before this block.

    Returns:
        Strings and float64; `timestamp` is ISO 8601 text with microseconds and `Z`, or a UTC
        datetime for Parquet.
    """
    midnight = datetime.combine(block.day, time(), UTC)
    columns = pl.DataFrame(
        {
            "user": block.user,
            "item": block.item,
            "kind": block.kind,
            "time": block.time + int(midnight.timestamp()) * _SECOND,
            "rating": pl.Series(block.rating, nan_to_null=True),
            "session": block.session,
            "device": block.device,
        }
    )
    if config.file_format == "parquet":
        timestamp = pl.col("time").cast(pl.Datetime("us", "UTC"))
    else:
        # a cast prints what strftime would, in half the time
        text = pl.col("time").cast(pl.Datetime("us")).cast(pl.String)
        timestamp = text.str.slice(0, 10) + "T" + text.str.slice(11) + "Z"
    index = pl.int_range(first_event, first_event + pl.len(), dtype=pl.Int64)
    event_id = numbered("e", index, event_id_width(config))
    return columns.select(
        numbered("u", pl.col("user"), max(6, len(str(config.users - 1)))).alias("user_id"),
        item_ids(pl.col("item"), config).alias("item_id"),
        pl.lit(pl.Series(INTERACTION_TYPES)).gather(pl.col("kind")).alias("interaction_type"),
        timestamp.alias("timestamp"),
        "rating",
        *([event_id.alias("event_id")] if config.event_ids else []),
        numbered("s", pl.col("session") + first_session, 9).alias("session_id"),
        pl.lit(pl.Series(DEVICES)).gather(pl.col("device")).alias("device"),
    )


def event_id_width(config: GeneratorConfig) -> int:
    """Return the digits of an event's id."""
    return max(9, len(str(config.events - 1)))
