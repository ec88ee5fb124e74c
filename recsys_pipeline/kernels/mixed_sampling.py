"""Distinct draws without replacement where each slot chooses the source that it draws from.

Slots are filled one after the other. A slot's source is chosen by weight; then candidates are proposed
from it, independently, until one is neither banned nor drawn, and after `rounds` of them one is
drawn from what is left by counting it out, which is the same law. So work is bounded by
`rounds` and one walk over what is left for each slot.

`VIEWED` draws some of what its owner is banned from, the other sources never do.

Hashes are those of `draw_distinct`: an owner's draws depend on nothing but its own states and the pool.
"""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Bytes, Floats, Ints, Words, kernel
from recsys_pipeline.kernels.words import fold, scaled

# places in `sources`; the same as in `schemas.samples.NEGATIVE_SOURCES`
UNIFORM, POPULARITY, CATEGORY, VIEWED = 0, 1, 2, 3

_S1 = np.uint64(1)
# beyond every number of an attempt
_CHOICE, _COUNTED = np.uint64(2**32), np.uint64(2**32 + 1)


@kernel
def draw_mixed(
    offsets: Ints,
    states: Words,
    numbers: Ints,
    ratio: int,
    banned_offsets: Ints,
    banned: Ints,
    shares: Ints,
    category: Ints,
    members_offsets: Ints,
    members: Ints,
    wanted: Ints,
    weights: Ints,
    table: Words,
    viewed_offsets: Ints,
    viewed: Ints,
    rounds: int,
) -> tuple[Ints, Bytes, Floats, Floats]:
    """Draw candidates for the positives of owners, distinct within the owner, banned ones by `VIEWED` alone.

    A slot's shares are those of `shares`, without that of `CATEGORY` where its positive has no category
    or its owner is banned from all of that category, and without that of `VIEWED` where its owner
    has viewed none; if nothing is left, all is `UNIFORM`'s. The source is chosen by them. Where the
    category, or what was viewed, has been used up by draws of the owner, its share is
    `UNIFORM`'s, and so is a draw that has chosen it. Where all that is not banned has been, all is
    `VIEWED`'s.

    Args:
        offsets: Positives of owner o are those from offsets[o] to offsets[o + 1]; each has `ratio`
            slots, which are filled in this order.
        states: Hash state of each positive.
        numbers: Number of its first slot, see `draw_distinct`.
        ratio: Slots of a positive.
        banned_offsets: What owner o must not draw is
            `banned[banned_offsets[o]:banned_offsets[o + 1]]`.
        banned: Distinct candidates.
        shares: Integer weights of the four sources, summing to 1 to 2**62.
        category: Category of each candidate, or -1.
        members_offsets: Candidates of category c are
            `members[members_offsets[c]:members_offsets[c + 1]]`.
        members: Candidates, ascending within a category.
        wanted: Category of each positive's item, or -1.
        weights: Positive weight of each candidate, summing to less than 2**63; may be empty where
            `POPULARITY` has no share.
        table: Their `alias_table`.
        viewed_offsets: What `VIEWED` may draw for owner o is
            `viewed[viewed_offsets[o]:viewed_offsets[o + 1]]`.
        viewed: Distinct candidates out of those that are banned; none where `VIEWED` has no share.
        rounds: Proposals of a slot before what is left is counted out.

    Returns:
        Of each slot: candidate, -1 for the last slots of an owner with more slots than candidates
        left; source that drew it; and its probability in one draw with the slot's shares, from all
        candidates and from those that the sources may draw.
    """
    size = len(category)
    total_weight = weights.sum() if len(weights) > 0 else np.int64(0)
    columns, shift = np.int64(2), np.uint64(63)
    while 2 * columns < len(table):
        columns, shift = 2 * columns, shift - _S1
    coins = (_S1 << shift) - _S1
    slots = len(states) * ratio
    drawn = np.full(slots, -1, np.int64)
    sources = np.zeros(slots, np.uint8)
    of_all = np.zeros(slots, np.float64)
    of_left = np.zeros(slots, np.float64)
    # twice the owner that may draw a candidate by `VIEWED` alone; plus 1, not at all
    mark = np.full(size, -1, np.int64)
    sizes = members_offsets[1:] - members_offsets[:-1]
    not_banned, not_drawn = sizes.copy(), sizes.copy()
    rest = np.empty(0, np.int64)  # holds what the owner may still draw, and more
    for owner in range(len(offsets) - 1):
        left, left_weight = np.int64(size), total_weight
        for at in range(banned_offsets[owner], banned_offsets[owner + 1]):
            candidate = banned[at]
            mark[candidate] = 2 * owner + 1
            left -= 1
            if total_weight > 0:
                left_weight -= weights[candidate]
            if category[candidate] >= 0:
                not_banned[category[candidate]] -= 1
                not_drawn[category[candidate]] -= 1
        begin_viewed, end_viewed = viewed_offsets[owner], viewed_offsets[owner + 1]
        all_viewed = open_viewed = end_viewed - begin_viewed
        for at in range(begin_viewed, end_viewed):
            mark[viewed[at]] = 2 * owner
        begin = offsets[owner] * ratio
        end = min(offsets[owner + 1] * ratio, begin + left + all_viewed)
        open_count, open_weight = left, left_weight
        in_rest = np.int64(-1)
        for slot in range(begin, end):
            positive = slot // ratio
            own = np.uint64(numbers[positive] + slot - positive * ratio)
            state = fold(states[positive], own)
            kind = wanted[positive]
            uniform, popular, alike = shares[UNIFORM], shares[POPULARITY], shares[CATEGORY]
            if kind < 0 or not_banned[kind] == 0:
                alike = np.int64(0)
            seen = shares[VIEWED] if all_viewed > 0 else np.int64(0)
            total = uniform + popular + alike + seen
            if total == 0:
                uniform = total = np.int64(1)
            choice = scaled(fold(state, _CHOICE), np.uint64(total))
            if choice < uniform:
                source = UNIFORM
            elif choice < uniform + popular:
                source = POPULARITY
            elif choice < uniform + popular + alike:
                source = CATEGORY
            else:
                source = VIEWED
            if alike > 0 and not_drawn[kind] == 0:
                uniform, alike = uniform + alike, np.int64(0)
                if source == CATEGORY:
                    source = UNIFORM
            if seen > 0 and open_viewed == 0:
                uniform, seen = uniform + seen, np.int64(0)
                if source == VIEWED:
                    source = UNIFORM
            if open_count == 0:
                uniform = popular = alike = np.int64(0)
                seen, source = total, VIEWED
            limit = 2 * owner + (source == VIEWED)  # the marks of what it may draw are below
            candidate = np.int64(-1)
            for attempt in range(rounds):
                word = fold(state, np.uint64(attempt))
                if source == UNIFORM:
                    proposal = scaled(word, np.uint64(size))
                elif source == POPULARITY:
                    proposal = np.int64(word >> shift)
                    if word & coins >= table[2 * proposal]:
                        proposal = np.int64(table[2 * proposal + 1])
                elif source == CATEGORY:
                    proposal = members[members_offsets[kind] + scaled(word, np.uint64(sizes[kind]))]
                else:
                    proposal = viewed[begin_viewed + scaled(word, np.uint64(all_viewed))]
                if mark[proposal] < limit:
                    candidate = proposal
                    break
            if candidate < 0 and source == VIEWED:
                nth = scaled(fold(state, _COUNTED), np.uint64(open_viewed))
                for at in range(begin_viewed, end_viewed):
                    if mark[viewed[at]] < limit:
                        if nth == 0:
                            candidate = viewed[at]
                            break
                        nth -= 1
            elif candidate < 0 and source == CATEGORY:
                nth = scaled(fold(state, _COUNTED), np.uint64(not_drawn[kind]))
                for at in range(members_offsets[kind], members_offsets[kind + 1]):
                    if mark[members[at]] < limit:
                        if nth == 0:
                            candidate = members[at]
                            break
                        nth -= 1
            elif candidate < 0:
                if in_rest < 0:
                    rest, in_rest = np.arange(size), np.int64(size)
                kept = np.int64(0)
                for at in range(in_rest):
                    if mark[rest[at]] < limit:
                        rest[kept] = rest[at]
                        kept += 1
                in_rest = kept
                if source == UNIFORM:
                    candidate = rest[scaled(fold(state, _COUNTED), np.uint64(open_count))]
                else:
                    nth = scaled(fold(state, _COUNTED), np.uint64(open_weight))
                    at = 0
                    while nth >= weights[rest[at]]:
                        nth -= weights[rest[at]]
                        at += 1
                    candidate = rest[at]
            drawn[slot], sources[slot] = candidate, source
            mark[candidate] = 2 * owner + 1
            all_ = uniform / size
            if popular > 0:
                all_ += popular * (weights[candidate] / total_weight)
            if alike > 0 and category[candidate] == kind:
                all_ += alike / sizes[kind]
            if source == VIEWED:
                open_viewed -= 1
                left_ = seen / all_viewed
                all_ += left_
            else:
                open_count -= 1
                if total_weight > 0:
                    open_weight -= weights[candidate]
                if category[candidate] >= 0:
                    not_drawn[category[candidate]] -= 1
                left_ = uniform / left
                if popular > 0:
                    left_ += popular * (weights[candidate] / left_weight)
                if alike > 0 and category[candidate] == kind:
                    left_ += alike / not_banned[kind]
            of_all[slot], of_left[slot] = min(all_ / total, 1.0), min(left_ / total, 1.0)
        # the next owner begins with full categories
        for at in range(banned_offsets[owner], banned_offsets[owner + 1]):
            kind = category[banned[at]]
            if kind >= 0:
                not_banned[kind] = not_drawn[kind] = sizes[kind]
        for slot in range(begin, end):
            kind = category[drawn[slot]]
            if kind >= 0:
                not_drawn[kind] = sizes[kind]
    return drawn, sources, of_all, of_left
