"""The latest items of users."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Codes, Ints, kernel


@kernel
def recent_items(
    users: Ints,
    behind: Ints,
    offsets: Ints,
    rows: Codes,
    times: Ints,
    items: Codes,
    before_offsets: Ints,
    before: Codes,
    shift: int,
    limit: int,
) -> tuple[Ints, Ints]:
    """Return the items of each user's latest events: latest first, then by item.

    Args:
        users: The users asked for.
        behind: For each, the place in `rows` behind the last event to look at.
        offsets: Events of user u are `rows[offsets[u]:offsets[u + 1]]`, ascending by (time,
            item).
        rows: Event numbers.
        times: Time of each event.
        items: Item of each event.
        before_offsets: User u's latest items before these events are
            `before[before_offsets[u]:before_offsets[u + 1]]`.
        before: Item codes of the state.
        shift: Added to the item codes of the state, to tell them from those of the events.
        limit: Items of a user at most.

    Returns:
        Offsets and values of the lists.
    """
    result = np.zeros(len(users) + 1, np.int64)
    for number in range(len(users)):
        user = users[number]
        length = behind[number] - offsets[user]
        length += before_offsets[user + 1] - before_offsets[user]
        result[number + 1] = result[number] + min(length, limit)
    values = np.empty(result[len(users)], np.int64)
    for number in range(len(users)):
        user = users[number]
        at, full = result[number], result[number + 1]
        begin, end = offsets[user], behind[number]
        while at < full and end > begin:
            tied = end - 1
            while tied > begin and times[rows[tied - 1]] == times[rows[end - 1]]:
                tied -= 1
            for event in range(tied, end):
                if at == full:
                    break
                values[at] = items[rows[event]]
                at += 1
            end = tied
        old = before_offsets[user]
        while at < full:
            values[at] = shift + np.int64(before[old])
            old += 1
            at += 1
    return result, values
