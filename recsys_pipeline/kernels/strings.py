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
_PARTS, _PART = 64, np.uint64(58)  # parts of a table, and the shift to a hash's part
_S8, _S27, _S30, _S31 = (np.uint64(n) for n in (8, 27, 30, 31))


@kernel
def hash_words(offsets: Ints, data: Bytes) -> Words:
    """Hash strings: FNV-1a over their bytes, finished with the mix of splitmix64.

    The same function as `transforms.stable_hash.hash_strings`, which names its sources.
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
    """Number the distinct strings, in no order that means anything.

    Rows are taken by the upper bits of their hashes, so that the table and the strings which it
    is compared with stay in the processor's cache: twice as fast from a million distinct strings.

    Args:
        offsets: Offsets of the strings.
        data: Their bytes.
        hashes: Their hashes, as `hash_words` returns.

    Returns:
        The code of each row, and a row of each code.
    """
    count = len(hashes)
    starts = np.zeros(_PARTS + 1, np.int64)
    for row in range(count):
        starts[np.int64(hashes[row] >> _PART) + 1] += 1
    largest = 0
    for part in range(_PARTS):
        largest = max(largest, starts[part + 1])
        starts[part + 1] += starts[part]
    place = starts[:-1].copy()
    rows = np.empty(count, np.int64)
    for row in range(count):
        own = np.int64(hashes[row] >> _PART)
        rows[place[own]] = row
        place[own] += 1
    size = 1
    while size < 2 * largest:
        size *= 2
    table = np.empty(size, np.int32)
    codes = np.empty(count, np.int64)
    firsts = np.empty(count, np.int64)
    found = 0
    for part in range(_PARTS):
        begin, end = starts[part], starts[part + 1]
        size = 1
        while size < 2 * (end - begin):
            size *= 2
        table[:size] = -1
        for at in range(begin, end):
            row = rows[at]
            hashed = hashes[row]
            slot = np.int64(hashed & np.uint64(size - 1))
            while True:
                code = table[slot]
                if code < 0:
                    code = found
                    table[slot] = code
                    firsts[code] = row
                    found += 1
                    break
                first = firsts[code]
                if hashes[first] == hashed and _same(offsets, data, first, offsets, data, row):
                    break
                slot = (slot + 1) & (size - 1)
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
    for row in range(len(hashes)):
        at = np.searchsorted(known_hashes, hashes[row])
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
