"""The newest row of an entity before a moment."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Ints, kernel


@kernel
def newest_before(
    entities: Ints, days: Ints, first: int, start: Ints, asked: Ints, day: Ints
) -> Ints:
    """Return for each (entity, day) asked for the row of its entity's newest earlier day.

    Both sides stand in the order of days, so one walk through both does.

    Args:
        entities: Entity of each row.
        days: Day of each row, ascending.
        first: The row to begin with.
        start: What to return of each entity that has no earlier row from there on.
        asked: The entities asked for.
        day: The day of each, ascending.

    Returns:
        Row numbers, or what `start` says.
    """
    newest = start.copy()
    found = np.empty(len(asked), np.int64)
    row = first
    for number in range(len(asked)):
        while row < len(entities) and days[row] < day[number]:
            newest[entities[row]] = row
            row += 1
        found[number] = newest[asked[number]]
    return found
