"""Which events are positives."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Codes, Days, Flags, Ints, kernel


@kernel
def positive_events(
    offsets: Ints,
    rows: Codes,
    items: Codes,
    size: int,
    days: Days,
    low: int,
    eligible: Flags,
    wanted: Flags,
    once: bool,  # noqa: FBT001  # kernels take no keywords
) -> tuple[Codes, Ints]:
    """Return the events that are positives, by day, user, time, item.

    Args:
        offsets: Events of user u are `rows[offsets[u]:offsets[u + 1]]`, by (time, item).
        rows: Event numbers.
        items: Item of each event.
        size: Number of items.
        days: Day of each event; it does not fall as time rises.
        low: The day that `wanted` begins with.
        eligible: Whether an event is of a positive type.
        wanted: Whether the positives of a day are wanted.
        once: Whether a user and an item make one positive a day, the first.

    Returns:
        Their event numbers, and offsets: those of day d are from offsets[d] to offsets[d + 1].
    """
    chosen = np.empty(len(rows), np.uint32)
    counts = np.zeros(len(wanted) + 1, np.int64)
    mark = np.full(size, -1, np.int64)
    stamp, found = 0, 0
    for user in range(len(offsets) - 1):
        today = np.int64(-1)
        for at in range(offsets[user], offsets[user + 1]):
            row = rows[at]
            if days[row] - low != today:
                today = days[row] - low
                stamp += 1
            if not (eligible[row] and wanted[today]):
                continue
            if once:
                if mark[items[row]] == stamp:
                    continue
                mark[items[row]] = stamp
            chosen[found] = row
            counts[today + 1] += 1
            found += 1
    for day in range(len(wanted)):
        counts[day + 1] += counts[day]
    result = np.empty(found, np.uint32)
    free = counts.copy()
    for number in range(found):
        row = chosen[number]
        day = days[row] - low
        result[free[day]] = row
        free[day] += 1
    return result, counts
