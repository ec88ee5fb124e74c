"""The latest events of users before given moments, oldest first."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Bytes, Codes, Ints, kernel


@kernel
def sequences_before(
    users: Ints,
    until: Ints,
    offsets: Ints,
    items: Ints,
    types: Ints,
    kept: Ints,
    kept_items: Codes,
    kept_types: Bytes,
    length: int,
) -> tuple[Ints, Ints, Ints]:
    """Join what was kept of a user with its events of today, and return the latest of both.

    Args:
        users: User of each list asked for; one that is not among the kept has none before today.
        until: For each, the place behind its last event of today to look at.
        offsets: Events of today of user u are those from offsets[u], in the order of time.
        items: Item of each event.
        types: Type of each event.
        kept: Number of kept events by user.
        kept_items: Their items: `length` places for each user, the oldest first.
        kept_types: Their types.
        length: Events of a list at most.

    Returns:
        Offsets of the lists, items and types.
    """
    result = np.zeros(len(users) + 1, np.int64)
    for number in range(len(users)):
        user = users[number]
        before = kept[user] if user < len(kept) else 0
        result[number + 1] = result[number] + min(before + until[number] - offsets[user], length)
    found_items = np.empty(result[len(users)], np.int64)
    found_types = np.empty(result[len(users)], np.int64)
    for number in range(len(users)):
        user = users[number]
        out = result[number]
        size = result[number + 1] - out
        today = min(until[number] - offsets[user], size)
        for at in range(size - today):
            place = user * length + kept[user] - (size - today) + at
            found_items[out + at] = kept_items[place]
            found_types[out + at] = kept_types[place]
        out += size - today
        for at in range(today):
            place = until[number] - today + at
            found_items[out + at] = items[place]
            found_types[out + at] = types[place]
    return result, found_items, found_types
