"""Which events are the first of a user with an item, and the items that each user has met."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Codes, Flags, Ints, kernel


@kernel
def first_meetings(
    offsets: Ints,
    rows: Ints,
    items: Ints,
    item_known: Ints,
    user_known: Ints,
    met_offsets: Ints,
    met: Codes,
) -> Flags:
    """Mark the events with which a user meets an item for the first time.

    Args:
        offsets: Events of user u are `rows[offsets[u]:offsets[u + 1]]`, in order of time.
        rows: Event numbers.
        items: Item of each event: a dense code of these events.
        item_known: Code of each item in the state, or -1.
        user_known: Code of each user in the state, or -1.
        met_offsets: The state's items of user k are `met[met_offsets[k]:met_offsets[k + 1]]`.
        met: Item codes of the state, ascending within a user.

    Returns:
        A flag per event, by event number.
    """
    first = np.zeros(len(items), np.bool_)
    mark = np.full(len(item_known), -1, np.int64)
    for user in range(len(offsets) - 1):
        known = user_known[user]
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
    offsets: Ints,
    rows: Ints,
    items: Ints,
    first: Flags,
    item_codes: Ints,
    user_known: Ints,
    met_offsets: Ints,
    met: Codes,
) -> tuple[Ints, Codes]:
    """Return each user's items of the state and of these events, ascending.

    Args:
        offsets: Events of each user, see `first_meetings`.
        rows: Event numbers.
        items: Item of each event.
        first: What `first_meetings` returned.
        item_codes: Code of each item in the state that these events are merged into.
        user_known: Code of each user in the state before, or -1.
        met_offsets: The lists of the state before.
        met: Their values.
    """
    users = len(offsets) - 1
    result = np.zeros(users + 1, np.int64)
    for user in range(users):
        known = user_known[user]
        length = 0 if known < 0 else met_offsets[known + 1] - met_offsets[known]
        for at in range(offsets[user], offsets[user + 1]):
            length += first[rows[at]]
        result[user + 1] = result[user] + length
    values = np.empty(result[users], np.uint32)
    for user in range(users):
        known = user_known[user]
        at = result[user]
        if known >= 0:
            for old in range(met_offsets[known], met_offsets[known + 1]):
                values[at] = met[old]
                at += 1
        fresh = at
        for event in range(offsets[user], offsets[user + 1]):
            row = rows[event]
            if first[row]:
                values[at] = item_codes[items[row]]
                at += 1
        if at > fresh:
            values[result[user] : at].sort()
    return result, values
