"""The newest row of an entity before a moment."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Ints, kernel


@kernel
def newest_before(offsets: Ints, rows: Ints, days: Ints, asked: Ints, day: Ints) -> Ints:
    """Return for each (entity, day) asked for the row of its entity's newest earlier day.

    Args:
        offsets: Rows of entity e are `rows[offsets[e]:offsets[e + 1]]`, days ascending.
        rows: Row numbers.
        days: Day of each row.
        asked: The entities asked for.
        day: The day of each.

    Returns:
        Row numbers, -1 where the entity has no earlier row.
    """
    found = np.empty(len(asked), np.int64)
    for number in range(len(asked)):
        begin = offsets[asked[number]]
        low, high = begin, offsets[asked[number] + 1]
        while low < high:
            middle = (low + high) // 2
            if days[rows[middle]] < day[number]:
                low = middle + 1
            else:
                high = middle
        found[number] = rows[low - 1] if low > begin else -1
    return found
