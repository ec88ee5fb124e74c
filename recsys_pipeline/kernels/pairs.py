"""Which events are a user's first with an item, and the items that each user has met.

Of an item met it is kept whether the user has engaged with it: twice its code, plus 1 where that is so.
Ascending numbers are thus ascending codes.
"""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Codes, Flags, Ints, inner, kernel


@inner
def _place(met: Codes, begin: int, end: int, least: int) -> int:
    """Return the first place from `begin` to `end` of a number that is not below `least`."""
    while begin < end:
        middle = (begin + end) // 2
        if met[middle] < least:
            begin = middle + 1
        else:
            end = middle
    return begin


@kernel
def first_events(
    users: Ints,
    offsets: Ints,
    rows: Codes,
    items: Codes,
    engaged: Flags,
    item_known: Ints,
    user_known: Ints,
    met_offsets: Ints,
    met: Codes,
) -> tuple[Flags, Flags]:
    """Mark the events with which a user meets an item, and engages with it, for the first time.

    Args:
        users: The users whose events are looked at.
        offsets: Events of user u are `rows[offsets[u]:offsets[u + 1]]`, in order of time.
        rows: Event numbers.
        items: Item of each event: a dense code of these events.
        engaged: Whether each event is more than a view.
        item_known: Code of each item in the state, or -1.
        user_known: Code of each of `users` in the state, or -1.
        met_offsets: The state's items of user k are `met[met_offsets[k]:met_offsets[k + 1]]`.
        met: Items of the state, ascending within a user.

    Returns:
        First meetings and first engagements: a flag per event, by event number; False for those of
        other users.
    """
    first = np.zeros(len(items), np.bool_)
    first_engaged = np.zeros(len(items), np.bool_)
    # twice the user that met the item last, plus 1 if engaged
    mark = np.full(len(item_known), -2, np.int64)
    for number in range(len(users)):
        user, known = users[number], user_known[number]
        for at in range(offsets[user], offsets[user + 1]):
            row = rows[at]
            item = items[row]
            if mark[item] == 2 * user + 1:
                continue
            if mark[item] == 2 * user:
                if engaged[row]:
                    mark[item] = 2 * user + 1
                    first_engaged[row] = True
                continue
            mark[item] = 2 * user + engaged[row]
            code = item_known[item]
            if known >= 0 and code >= 0:
                end = met_offsets[known + 1]
                place = _place(met, met_offsets[known], end, 2 * code)
                if place < end and met[place] <= 2 * code + 1:
                    if met[place] & 1:
                        mark[item] = 2 * user + 1
                    else:
                        first_engaged[row] = engaged[row]
                    continue
            first[row] = True
            first_engaged[row] = engaged[row]
    return first, first_engaged


@kernel
def items_met(
    users: Ints,
    offsets: Ints,
    rows: Codes,
    items: Codes,
    first: Flags,
    first_engaged: Flags,
    item_codes: Ints,
    user_known: Ints,
    met_offsets: Ints,
    met: Codes,
) -> tuple[Ints, Codes]:
    """Return users' items of the state and of these events, ascending.

    Args:
        users: The users asked for.
        offsets: Events of each user, see `first_events`.
        rows: Event numbers.
        items: Item of each event.
        first: First meetings, as `first_events` returns them.
        first_engaged: First engagements.
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
        more = False  # engagement with an item met before
        for event in range(offsets[user], offsets[user + 1]):
            row = rows[event]
            if first[row]:
                at -= 1
                values[at] = 2 * item_codes[items[row]] + first_engaged[row]
            elif first_engaged[row]:
                more = True
        if end - at > 1:
            values[at:end].sort()
        if known >= 0:
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
        if not more:
            continue
        for event in range(offsets[user], offsets[user + 1]):
            row = rows[event]
            if first_engaged[row] and not first[row]:
                place = _place(values, result[number], end, 2 * item_codes[items[row]])
                values[place] |= np.uint32(1)
    return result, values
