"""Running totals per entity and day, in one pass over events sorted by entity and day."""

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
from recsys_pipeline.kernels.jit import Flags, Ints, kernel


@kernel
def running_totals(
    offsets: Ints,
    rows: Ints,
    days: Ints,
    times: Ints,
    types: Ints,
    ratings: Ints,
    first: Flags,
    known: Ints,
    totals: Ints,
    wanted: Flags,
) -> tuple[Ints, Ints, Ints, Ints]:
    """Add the events of each entity to its totals, and tell how they stand after wanted days.

    Args:
        offsets: Events of entity e are `rows[offsets[e]:offsets[e + 1]]`, days ascending.
        rows: Event numbers.
        days: Day of each event, an index into `wanted`.
        times: Microseconds since 1970-01-01.
        types: Code of the event type, 0 to 4.
        ratings: Hundredths, -1 without a rating.
        first: Whether the event is the first between its user and item.
        known: Row of each entity in `totals`, or -1.
        totals: The state: rows of `WIDTH` numbers.
        wanted: Whether the rows of a day are wanted.

    Returns:
        Of each (entity, wanted day with events), by entity, then day: the entity, the place in
        `rows` behind the day's last event, and the totals. And the totals of each entity after
        its last event.
    """
    entities = len(offsets) - 1
    count = 0
    for entity in range(entities):
        for at in range(offsets[entity], offsets[entity + 1]):
            day = days[rows[at]]
            if wanted[day] and (at + 1 == offsets[entity + 1] or days[rows[at + 1]] != day):
                count += 1
    who = np.empty(count, np.int64)
    behind = np.empty(count, np.int64)
    found = np.empty((count, WIDTH), np.int64)
    last = np.empty((entities, WIDTH), np.int64)
    out = 0
    for entity in range(entities):
        sums = last[entity]
        if known[entity] >= 0:
            sums[:] = totals[known[entity]]
        else:
            sums[:] = 0
            sums[FIRST], sums[LAST] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        begin, end = offsets[entity], offsets[entity + 1]
        for at in range(begin, end):
            row = rows[at]
            day = days[row]
            if at == begin or days[rows[at - 1]] != day:
                sums[ACTIVE_DAYS] += 1
            sums[TOTAL] += 1
            sums[BY_TYPE + types[row]] += 1
            if first[row]:
                sums[UNIQUE] += 1
            if ratings[row] >= 0:
                sums[RATING_COUNT] += 1
                sums[RATING_SUM] += ratings[row]
            sums[FIRST] = min(sums[FIRST], times[row])
            sums[LAST] = max(sums[LAST], times[row])
            if wanted[day] and (at + 1 == end or days[rows[at + 1]] != day):
                who[out] = entity
                behind[out] = at + 1
                found[out] = sums
                out += 1
    return who, behind, found, last
