"""Distinct draws without replacement for many owners at once, from one pool of candidates.

Each owner's draws are successive sampling: read an i.i.d. stream of candidates, each drawn with
probability weight / total, and skip what is excluded or was drawn before. Slots propose in
rounds and an owner's proposals of a round are read in slot order, so the rounds, one after the
other, are that stream. Which owner leaves the stream is decided by what it has read alone, and
its remaining slots are filled exactly by exponential keys over what is left (Efraimidis and
Spirakis, "Weighted random sampling with a reservoir", IPL 2006), which is the same law. So work
is bounded, whatever the exclusions and the weights.

Proposals and keys are stable hashes (`transforms.stable_hash`), so an owner's draws depend on
nothing but its own states and the pool.
"""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Floats, Ints, Words, inner, kernel
from recsys_pipeline.kernels.words import fold, scaled

ROUNDS = 32

_LOW = np.uint64(0xFFFFFFFF)
_S1, _S11, _S32, _S63 = (np.uint64(n) for n in (1, 11, 32, 63))


@inner
def _words_below(part: np.uint64, total: np.uint64) -> np.uint64:
    """Return ceil(part * 2**64 / total), for part < total and 2**63 <= total.

    Long division by digits of 32 bits (Knuth, TAOCP 2, 4.3.1, algorithm D).
    """
    rest = part
    above, below = total >> _S32, total & _LOW
    quotient = np.uint64(0)
    for _ in range(2):
        digit = rest // above
        left = rest - digit * above
        while digit > _LOW or digit * below > (left << _S32):
            digit -= _S1
            left += above
            if left > _LOW:
                break
        # both wrap; what is left is below the total
        rest = (rest << _S32) - digit * total
        quotient = (quotient << _S32) | digit
    return quotient + np.uint64(rest > 0)


@kernel
def alias_table(weights: Ints) -> Words:
    """Divide the 2**64 hash words among candidates, in columns of two owners at most.

    Candidate i, whose weights' sums reach from a to b of their total W, has as many words as there
    are integers in [a * 2**64 / W, b * 2**64 / W): those words w of which floor(w * W / 2**64) is in
    [a, b). That is a whole number m(i), the m(i) sum to 2**64, and each differs from
    2**64 * weight / W by less than 1, since the ends of the interval are each rounded up by less
    than 1. So a candidate's probability is within 2**-64 of weight / W, and is it exactly wherever
    W divides 2**64 * a and 2**64 * b.

    The columns are a power of two, 2**k, no fewer than the candidates and at least 2; a word's upper
    k bits choose one, and the lower 64 - k bits, the coin, are compared with its threshold. All is
    in integers: a candidate's words in all columns are m(i), none more or less (Walker, "An
    efficient method for generating discrete random variables", ACM TOMS 1977; Vose, IEEE TSE 1991).

    The table is the same on every platform: columns are filled in ascending order from the
    lowest candidate that has a column's words or more; one that thereby falls below is filled
    next if its column has been passed, else in its turn.

    Args:
        weights: Positive weight of each candidate, summing to less than 2**63.

    Returns:
        Threshold and alias of each column, in turn: a coin below the threshold is of the candidate with
        the column's number, any other of the alias. Empty without weights.
    """
    size = len(weights)
    if size == 0:
        return np.empty(0, np.uint64)
    columns, shift = np.int64(2), np.uint64(63)
    while columns < size:
        columns, shift = 2 * columns, shift - _S1
    capacity = _S1 << shift
    table = np.zeros(2 * columns, np.uint64)
    if size == 1:
        return table  # its 2**64 words are no 64-bit number: every column is its alias
    left = np.zeros(columns, np.uint64)
    total = np.uint64(weights.sum())
    scale = np.uint64(0)
    while (total << scale) >> _S63 == 0:
        scale += _S1
    total <<= scale
    until, before = np.uint64(0), np.uint64(0)
    for place in range(size):
        until += np.uint64(weights[place]) << scale
        # the last one ends at 2**64, which wraps to 0
        behind = _words_below(until, total) if until < total else np.uint64(0)
        left[place] = behind - before
        before = behind
    giver = 0
    while left[giver] < capacity:
        giver += 1
    for column in range(columns):
        if left[column] >= capacity:  # it gives, or is full
            table[2 * column], table[2 * column + 1] = capacity, np.uint64(column)
            continue
        taker = column
        while True:
            table[2 * taker], table[2 * taker + 1] = left[taker], np.uint64(giver)
            left[giver] -= capacity - left[taker]
            if left[giver] >= capacity:
                break
            fallen = giver
            while left[giver] < capacity:
                giver += 1
            if fallen > column:
                break
            taker = fallen
    return table


@kernel
def draw_distinct(
    offsets: Ints,
    states: Words,
    numbers: Ints,
    ratio: int,
    owners: Words,
    banned_offsets: Ints,
    banned: Ints,
    hashes: Words,
    weights: Ints,
    table: Words,
    rounds: int,
) -> tuple[Ints, Ints]:
    """Draw candidates for the positives of owners, distinct within the owner and never banned ones.

    Args:
        offsets: Positives of owner o are those from offsets[o] to offsets[o + 1]; each has `ratio`
            slots, which are filled in this order.
        states: Hash state of each positive.
        numbers: Number of its first slot: a slot's own state is that of its positive with the
            slot's number folded in, and distinct ones give independent proposals.
        ratio: Slots of a positive.
        owners: Hash state of each owner, of another domain than the slots'.
        banned_offsets: What owner o must not draw is
            `banned[banned_offsets[o]:banned_offsets[o + 1]]`.
        banned: Distinct candidates.
        hashes: Stable hash of each candidate's id.
        weights: Positive weight of each candidate, summing to less than 2**63; empty when all
            are equal.
        table: Their `alias_table`.
        rounds: Rounds of proposals before the exact path; `ROUNDS`.

    Returns:
        Candidate of each slot, -1 for the last slots of an owner with more slots than candidates
        left; and the summed weight of what was not banned, by owner.
    """
    size = len(hashes)
    weighted = len(weights) > 0
    total = weights.sum() if weighted else np.int64(size)
    columns, shift = np.int64(2), np.uint64(63)
    while 2 * columns < len(table):
        columns, shift = 2 * columns, shift - _S1
    coins = (_S1 << shift) - _S1
    drawn = np.full(len(states) * ratio, -1, np.int64)
    left_weight = np.full(len(owners), total, np.int64)
    mark = np.full(size, -1, np.int64)
    keys = np.empty(0, np.float64)
    integers = np.empty(0, np.int64)
    for owner in range(len(owners)):
        left = size
        for at in range(banned_offsets[owner], banned_offsets[owner + 1]):
            mark[banned[at]] = owner
            left -= 1
            left_weight[owner] -= weights[banned[at]] if weighted else 1
        begin = offsets[owner] * ratio
        end = min(offsets[owner + 1] * ratio, begin + left)
        open_slots = end - begin
        dense = 2 * open_slots > left or left_weight[owner] < total // 8
        for attempt in range(0 if dense else rounds):
            if open_slots == 0:
                break
            for slot in range(begin, end):
                if drawn[slot] >= 0:
                    continue
                positive = slot // ratio
                own = np.uint64(numbers[positive] + slot - positive * ratio)
                word = fold(fold(states[positive], own), np.uint64(attempt))
                if weighted:
                    proposal = np.int64(word >> shift)
                    if word & coins >= table[2 * proposal]:
                        proposal = np.int64(table[2 * proposal + 1])
                else:
                    proposal = scaled(word, np.uint64(total))
                if mark[proposal] != owner:
                    mark[proposal] = owner
                    drawn[slot] = proposal
                    open_slots -= 1
        if open_slots == 0:
            continue
        if weighted:
            if len(keys) == 0:
                keys = np.empty(size, np.float64)
            for place in range(size):
                word = fold(owners[owner], hashes[place])
                uniform = (np.float64(word >> _S11) + 0.5) * 2.0**-53
                keys[place] = -np.log(uniform) / weights[place]
                if mark[place] == owner:
                    keys[place] = np.inf
            order = np.argsort(keys, kind="mergesort")
        else:
            if len(integers) == 0:
                integers = np.empty(size, np.int64)
            for place in range(size):
                integers[place] = np.int64(fold(owners[owner], hashes[place]) >> _S1)
                if mark[place] == owner:
                    integers[place] = np.iinfo(np.int64).max
            order = np.argsort(integers, kind="mergesort")
        nth = 0
        for slot in range(begin, end):
            if drawn[slot] < 0:
                drawn[slot] = order[nth]
                nth += 1
    return drawn, left_weight


@kernel
def drawn_negatives(
    drawn: Ints, ratio: int, offsets: Ints, left_weight: Ints, weights: Ints, codes: Ints
) -> tuple[Ints, Ints, Floats, Floats]:
    """Return what was drawn, without the slots that stayed empty.

    Args:
        drawn: Candidate of each slot, or -1, and
        ratio: slots of a positive, and
        offsets: positives of each owner, and
        left_weight: weight that was not banned, all as in `draw_distinct`.
        weights: Weight of each candidate; empty when all are equal.
        codes: Item code of each candidate.

    Returns:
        Of each negative its positive, its item, its weight as a share of all candidates' and its
        weight as a share of what was not banned.
    """
    count = 0
    for candidate in drawn:
        count += candidate >= 0
    positives = np.empty(count, np.int64)
    items = np.empty(count, np.int64)
    of_all = np.empty(count, np.float64)
    of_left = np.empty(count, np.float64)
    weighted = len(weights) > 0
    total = weights.sum() if weighted else np.int64(len(codes))
    out = 0
    for owner in range(len(offsets) - 1):
        for slot in range(offsets[owner] * ratio, offsets[owner + 1] * ratio):
            candidate = drawn[slot]
            if candidate < 0:
                continue
            weight = weights[candidate] if weighted else np.int64(1)
            positives[out] = slot // ratio
            items[out] = codes[candidate]
            of_all[out] = weight / total
            of_left[out] = weight / left_weight[owner]
            out += 1
    return positives, items, of_all, of_left
