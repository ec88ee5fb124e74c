"""Running totals per entity and day, in one pass over events in the order of days."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.columns import (
    ACTIVE_DAYS,
    BY_TYPE,
    FIRST,
    LAST,
    RATING_COUNT,
    RATING_SUM,
    TOTAL,
    UNIQUE,
    WIDTH,
)
from recsys_pipeline.kernels.jit import Bytes, Codes, Days, Flags, Ints, Shorts, kernel


@kernel
def running_totals(
    entities: Codes,
    order: Ints,
    days: Days,
    times: Ints,
    types: Bytes,
    ratings: Shorts,
    first: Flags,
    start: Ints,
    wanted: Flags,
) -> tuple[Ints, Ints, Ints, Ints]:
    """Add events to the totals of their entities, and tell how they stand after wanted days.

    Args:
        entities: Entity of each event.
        order: The events, days ascending; empty where they stand in that order.
        days: Day of each event, an index into `wanted`.
        times: Microseconds since 1970-01-01.
        types: Code of the event type, 0 to 4.
        ratings: Hundredths, -1 without a rating.
        first: Whether the event is the first between its user and item.
        start: The totals of each entity before these events: rows of `WIDTH` numbers.
        wanted: Whether the rows of a day are wanted.

    Returns:
        Of each (entity, wanted day with events), by day, then entity: the entity, the day, and the
        totals after it. And the totals of each entity after its last event.
    """
    size = len(start)
    last = start.copy()
    count = 0
    met = np.full(size, -1, np.int64)
    for at in range(len(entities)):
        row = order[at] if len(order) else at
        if wanted[days[row]] and met[entities[row]] != days[row]:
            met[entities[row]] = days[row]
            count += 1
    who = np.empty(count, np.int64)
    when = np.empty(count, np.int64)
    found = np.empty((count, WIDTH), np.int64)
    met[:] = -1
    out, at = 0, 0
    while at < len(entities):
        day = days[order[at] if len(order) else at]
        begin = out
        ascending = True
        while at < len(entities):
            row = order[at] if len(order) else at
            if days[row] != day:
                break
            at += 1
            entity = entities[row]
            sums = last[entity]
            if met[entity] != day:
                met[entity] = day
                sums[ACTIVE_DAYS] += 1
                if wanted[day]:
                    ascending = ascending and (out == begin or who[out - 1] < entity)
                    who[out] = entity
                    out += 1
            sums[TOTAL] += 1
            sums[BY_TYPE + types[row]] += 1
            sums[UNIQUE] += first[row]
            if ratings[row] >= 0:
                sums[RATING_COUNT] += 1
                sums[RATING_SUM] += ratings[row]
            sums[FIRST] = min(sums[FIRST], times[row])
            sums[LAST] = max(sums[LAST], times[row])
        if not ascending:
            who[begin:out].sort()
        for number in range(begin, out):
            when[number] = day
            found[number] = last[who[number]]
    return who, when, found, last
