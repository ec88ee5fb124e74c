"""Strings as dense codes: exact, by a stable hash and a comparison of bytes.

Strings are Arrow's large layout: string n is `data[offsets[n]:offsets[n + 1]]`, UTF-8.
"""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Bytes, Ints, Words, inner, kernel

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_UPPER, _LOWER, _FREE = np.uint64(0xFFFFFFFF00000000), np.uint64(0xFFFFFFFF), np.uint64(0)
_S8, _S27, _S30, _S31 = (np.uint64(n) for n in (8, 27, 30, 31))


@kernel
def hash_words(offsets: Ints, data: Bytes) -> Words:
    """Hash strings: FNV-1a over their bytes, finished with the mix of splitmix64.

    `transforms.stable_hash` names the sources.
    """
    count = len(offsets) - 1
    hashes = np.empty(count, np.uint64)
    for row in range(count):
        state = _FNV_OFFSET
        for at in range(offsets[row], offsets[row + 1]):
            state = (state ^ np.uint64(data[at])) * _FNV_PRIME
        state = (state ^ (state >> _S30)) * _FIRST
        state = (state ^ (state >> _S27)) * _SECOND
        hashes[row] = state ^ (state >> _S31)
    return hashes


@inner
def _same(
    offsets: Ints, data: Bytes, row: int, other_offsets: Ints, other_data: Bytes, other: int
) -> bool:
    begin, length = offsets[row], offsets[row + 1] - offsets[row]
    other_begin = other_offsets[other]
    if other_offsets[other + 1] - other_begin != length:
        return False
    for at in range(length):  # noqa: SIM110  # numba compiles no generator in all()
        if data[begin + at] != other_data[other_begin + at]:
            return False
    return True


@kernel
def dense_codes(offsets: Ints, data: Bytes, hashes: Words) -> tuple[Ints, Ints]:
    """Number the distinct strings in the order of their first rows.

    An open-addressing table holds code and upper half of the hash; a copy of the distinct strings
    is what rows are compared with, so that it and the table are all that is not read in order.

    Args:
        offsets: Offsets of the strings.
        data: Their bytes.
        hashes: Their hashes, as `hash_words` returns.

    Returns:
        The code of each row, and the first row of each code.
    """
    count = len(hashes)
    codes = np.empty(count, np.int64)
    firsts = np.empty(1024, np.int64)
    ends = np.zeros(1025, np.int64)
    copies = np.empty(16_384, np.uint8)
    size = 4096
    table = np.zeros(size, np.uint64)
    found = 0
    code = np.int64(-1)
    for row in range(count):
        hashed = hashes[row]
        begin, length = offsets[row], offsets[row + 1] - offsets[row]
        # stored events of a user follow one another
        if (
            row > 0
            and hashed == hashes[row - 1]
            and _same(offsets, data, row, offsets, data, row - 1)
        ):
            codes[row] = code
            continue
        tag = hashed & _UPPER
        slot = np.int64(hashed & np.uint64(size - 1))
        code = np.int64(-1)
        while table[slot] != _FREE:
            if table[slot] & _UPPER == tag:
                other = np.int64(table[slot] & _LOWER) - 1
                at = ends[other]
                if ends[other + 1] - at == length:
                    same = True
                    for byte in range(length):
                        if copies[at + byte] != data[begin + byte]:
                            same = False
                            break
                    if same:
                        code = other
                        break
            slot = (slot + 1) & (size - 1)
        if code < 0:
            if found == len(firsts):
                firsts = np.concatenate((firsts, np.empty(found, np.int64)))
                ends = np.concatenate((ends, np.empty(found, np.int64)))
            while ends[found] + length > len(copies):
                copies = np.concatenate((copies, np.empty(len(copies), np.uint8)))
            code = np.int64(found)
            firsts[code] = row
            copies[ends[code] : ends[code] + length] = data[begin : begin + length]
            found += 1
            ends[found] = ends[code] + length
            table[slot] = tag | np.uint64(found)
            if 2 * found > size:
                size *= 4
                table = np.zeros(size, np.uint64)
                for known in range(found):
                    hashed = hashes[firsts[known]]
                    slot = np.int64(hashed & np.uint64(size - 1))
                    while table[slot] != _FREE:
                        slot = (slot + 1) & (size - 1)
                    table[slot] = (hashed & _UPPER) | np.uint64(known + 1)
        codes[row] = code
    return codes, firsts[:found].copy()


@kernel
def find(
    offsets: Ints,
    data: Bytes,
    hashes: Words,
    known_offsets: Ints,
    known_data: Bytes,
    known_hashes: Words,
    known_codes: Ints,
) -> Ints:
    """Look strings up among known ones.

    Args:
        offsets: Offsets of the strings.
        data: Their bytes.
        hashes: Their hashes.
        known_offsets: Offsets of the known strings, by code.
        known_data: Their bytes.
        known_hashes: Their hashes, ascending.
        known_codes: The code of each of `known_hashes`.

    Returns:
        The code of each string, -1 where it is not known.
    """
    found = np.full(len(hashes), -1, np.int64)
    size = len(known_hashes)
    if size == 0:
        return found
    # hashes are spread evenly: where one would be is told by its upper bits, give or take a few
    least, shift = known_hashes[0], np.uint64(0)
    while (known_hashes[size - 1] - least) >> shift >= np.uint64(size):
        shift += np.uint64(1)
    starts = np.zeros(size + 1, np.int64)
    for at in range(size):
        starts[np.int64((known_hashes[at] - least) >> shift) + 1] = at + 1
    for cell in range(size):
        starts[cell + 1] = max(starts[cell + 1], starts[cell])
    for row in range(len(hashes)):
        if hashes[row] < least or hashes[row] > known_hashes[size - 1]:
            continue
        at = starts[np.int64((hashes[row] - least) >> shift)]
        while at < size and known_hashes[at] < hashes[row]:
            at += 1
        while at < size and known_hashes[at] == hashes[row]:
            code = known_codes[at]
            if _same(offsets, data, row, known_offsets, known_data, code):
                found[row] = code
                break
            at += 1
    return found


@kernel
def sorted_order(offsets: Ints, data: Bytes) -> Ints:
    """Return the order of distinct strings by their bytes, as UTF-8 sorts.

    Eight bytes at a time: what they leave tied is ordered by the next eight.
    """
    count = len(offsets) - 1
    order = np.arange(count)
    if count < 2:
        return order
    begins, ends, depths = [0], [count], [0]
    keys = np.empty(count, np.uint64)
    while len(begins) > 0:
        begin, end, depth = begins.pop(), ends.pop(), depths.pop()
        longest = 0
        for at in range(begin, end):
            row = order[at]
            first, last = offsets[row] + depth, offsets[row + 1]
            longest = max(longest, last - first)
            key = np.uint64(0)
            for byte in range(first, min(first + 8, last)):
                key = (key << _S8) | np.uint64(data[byte])
            # an end sorts as zeros; those that end among zeros are told apart by their lengths
            missing = 8 - max(min(last - first, 8), 0)
            keys[at] = key << np.uint64(8 * missing) if missing < 8 else np.uint64(0)
        run = np.argsort(keys[begin:end])
        order[begin:end] = order[begin:end][run]
        keys[begin:end] = keys[begin:end][run]
        start = begin
        for at in range(begin + 1, end + 1):
            if at < end and keys[at] == keys[start]:
                continue
            if at - start > 1:
                if longest > 8:
                    begins.append(start)
                    ends.append(at)
                    depths.append(depth + 8)
                else:
                    lengths = offsets[order[start:at] + 1] - offsets[order[start:at]]
                    order[start:at] = order[start:at][np.argsort(lengths)]
            start = at
    return order
