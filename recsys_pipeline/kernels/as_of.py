"""The newest row of an entity before a moment."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Ints, kernel


@kernel
def newest_before(entities: Ints, days: Ints, size: int, asked: Ints, day: Ints) -> Ints:
    """Return for each (entity, day) asked for the row of its entity's newest earlier day.

    Args:
        entities: Entity of each row, ascending.
        days: Day of each row, ascending within the entity.
        size: Number of entities.
        asked: The entities asked for.
        day: The day of each.

    Returns:
        Row numbers, -1 where the entity has no earlier row.
    """
    offsets = np.zeros(size + 1, np.int64)
    for entity in entities:
        offsets[entity + 1] += 1
    for entity in range(size):
        offsets[entity + 1] += offsets[entity]
    found = np.empty(len(asked), np.int64)
    for number in range(len(asked)):
        begin = offsets[asked[number]]
        low, high = begin, offsets[asked[number] + 1]
        while low < high:
            middle = (low + high) // 2
            if days[middle] < day[number]:
                low = middle + 1
            else:
                high = middle
        found[number] = low - 1 if low > begin else -1
    return found
