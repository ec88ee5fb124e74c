"""The candidates that users have met up to the end of a day, and those they have only viewed."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Codes, Days, Flags, Ints, kernel


@kernel
def banned_candidates(
    users: Codes,
    day: int,
    offsets: Ints,
    rows: Codes,
    items: Codes,
    first: Flags,
    days: Days,
    known: Ints,
    met_offsets: Ints,
    met: Codes,
    item_place: Ints,
    state_place: Ints,
) -> tuple[Ints, Ints]:
    """Return the candidates that users have met up to the end of a day.

    Args:
        users: The users asked for.
        day: The day.
        offsets: Events of user u are `rows[offsets[u]:offsets[u + 1]]`.
        rows: Event numbers.
        items: Item of each event.
        first: Whether an event is the first between its user and item.
        days: Day of each event.
        known: Code of each of `users` in the state, or -1.
        met_offsets: Lists of the state: the items met before these events.
        met: Items of the state, see `kernels.pairs`.
        item_place: Place among the candidates of each item of the events, or -1.
        state_place: The same for the items of the state.

    Returns:
        Offsets by user asked for, and places among the candidates.
    """
    result = np.zeros(len(users) + 1, np.int64)
    size = 0
    for number in range(len(users)):
        size += offsets[users[number] + 1] - offsets[users[number]]
        if known[number] >= 0:
            size += met_offsets[known[number] + 1] - met_offsets[known[number]]
    places = np.empty(size, np.int64)
    out = 0
    for number in range(len(users)):
        user = users[number]
        if known[number] >= 0:
            for at in range(met_offsets[known[number]], met_offsets[known[number] + 1]):
                place = state_place[met[at] >> 1]
                if place >= 0:
                    places[out] = place
                    out += 1
        for at in range(offsets[user], offsets[user + 1]):
            row = rows[at]
            if first[row] and days[row] <= day:
                place = item_place[items[row]]
                if place >= 0:
                    places[out] = place
                    out += 1
        result[number + 1] = out
    return result, places[:out].copy()


@kernel
def viewed_candidates(
    users: Codes,
    day: int,
    offsets: Ints,
    rows: Codes,
    items: Codes,
    first: Flags,
    first_engaged: Flags,
    days: Days,
    known: Ints,
    met_offsets: Ints,
    met: Codes,
    item_place: Ints,
    state_place: Ints,
    size: int,
) -> tuple[Ints, Ints]:
    """Return the candidates that users have met up to the end of a day, and done no more than view.

    Args:
        users: The users asked for.
        day: The day.
        offsets: Events of user u are `rows[offsets[u]:offsets[u + 1]]`.
        rows: Event numbers.
        items: Item of each event.
        first: Whether an event is the first between its user and item.
        first_engaged: Whether it is the first of them that is more than a view.
        days: Day of each event.
        known: Code of each of `users` in the state, or -1.
        met_offsets: Lists of the state: the items met before these events.
        met: Items of the state, see `kernels.pairs`.
        item_place: Place among the candidates of each item of the events, or -1.
        state_place: The same for the items of the state.
        size: Number of candidates.

    Returns:
        Offsets by user asked for, and places among the candidates, ascending within a user.
    """
    bound = 0
    for number in range(len(users)):
        bound += offsets[users[number] + 1] - offsets[users[number]]
        if known[number] >= 0:
            bound += met_offsets[known[number] + 1] - met_offsets[known[number]]
    result = np.zeros(len(users) + 1, np.int64)
    places = np.empty(bound, np.int64)
    engaged = np.full(size, -1, np.int64)  # the user that has engaged with a candidate last
    out = 0
    for number in range(len(users)):
        user = users[number]
        if known[number] >= 0:
            for at in range(met_offsets[known[number]], met_offsets[known[number] + 1]):
                if met[at] & 1 == 0 and state_place[met[at] >> 1] >= 0:
                    places[out] = state_place[met[at] >> 1]
                    out += 1
        for at in range(offsets[user], offsets[user + 1]):
            row = rows[at]
            if (first[row] or first_engaged[row]) and days[row] <= day:
                place = item_place[items[row]]
                if place >= 0 and first_engaged[row]:
                    engaged[place] = number
                elif place >= 0:
                    places[out] = place
                    out += 1
        begin, end, out = result[number], out, result[number]
        for at in range(begin, end):
            if engaged[places[at]] != number:
                places[out] = places[at]
                out += 1
        if out - begin > 1:
            places[begin:out].sort()
        result[number + 1] = out
    return result, places[:out].copy()
