"""Which events are the first of a user with an item, and the items that each user has met."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Codes, Flags, Ints, kernel


@kernel
def first_meetings(
    users: Ints,
    offsets: Ints,
    rows: Codes,
    items: Codes,
    item_known: Ints,
    user_known: Ints,
    met_offsets: Ints,
    met: Codes,
) -> Flags:
    """Mark the events with which a user meets an item for the first time.

    Args:
        users: The users whose events are looked at.
        offsets: Events of user u are `rows[offsets[u]:offsets[u + 1]]`, in order of time.
        rows: Event numbers.
        items: Item of each event: a dense code of these events.
        item_known: Code of each item in the state, or -1.
        user_known: Code of each of `users` in the state, or -1.
        met_offsets: The state's items of user k are `met[met_offsets[k]:met_offsets[k + 1]]`.
        met: Item codes of the state, ascending within a user.

    Returns:
        A flag per event, by event number; False for those of other users.
    """
    first = np.zeros(len(items), np.bool_)
    mark = np.full(len(item_known), -1, np.int64)
    for number in range(len(users)):
        user, known = users[number], user_known[number]
        for at in range(offsets[user], offsets[user + 1]):
            item = items[rows[at]]
            if mark[item] == user:
                continue
            mark[item] = user
            code = item_known[item]
            if known >= 0 and code >= 0:
                low, high = met_offsets[known], met_offsets[known + 1]
                while low < high:
                    middle = (low + high) // 2
                    if met[middle] < code:
                        low = middle + 1
                    else:
                        high = middle
                if low < met_offsets[known + 1] and met[low] == code:
                    continue
            first[rows[at]] = True
    return first


@kernel
def items_met(
    users: Ints,
    offsets: Ints,
    rows: Codes,
    items: Codes,
    first: Flags,
    item_codes: Ints,
    user_known: Ints,
    met_offsets: Ints,
    met: Codes,
) -> tuple[Ints, Codes]:
    """Return users' items of the state and of these events, ascending.

    Args:
        users: The users asked for.
        offsets: Events of each user, see `first_meetings`.
        rows: Event numbers.
        items: Item of each event.
        first: What `first_meetings` returned.
        item_codes: Code of each item in the state that these events are merged into.
        user_known: Code of each of `users` in the state before, or -1.
        met_offsets: The lists of the state before.
        met: Their values.
    """
    result = np.zeros(len(users) + 1, np.int64)
    for number in range(len(users)):
        user, known = users[number], user_known[number]
        length = 0 if known < 0 else met_offsets[known + 1] - met_offsets[known]
        for at in range(offsets[user], offsets[user + 1]):
            length += first[rows[at]]
        result[number + 1] = result[number] + length
    values = np.empty(result[len(users)], np.uint32)
    for number in range(len(users)):
        user, known = users[number], user_known[number]
        # new ones behind, sorted; then both are merged from the front into the place of the old
        at = end = result[number + 1]
        for event in range(offsets[user], offsets[user + 1]):
            row = rows[event]
            if first[row]:
                at -= 1
                values[at] = item_codes[items[row]]
        if end - at > 1:
            values[at:end].sort()
        if known < 0:
            continue
        place = result[number]
        old, old_end = met_offsets[known], met_offsets[known + 1]
        while old < old_end:
            if at == end or met[old] < values[at]:
                values[place] = met[old]
                old += 1
            else:
                values[place] = values[at]
                at += 1
            place += 1
    return result, values
