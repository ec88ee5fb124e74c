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
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


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
    """Number the distinct strings in the order of their first rows.

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
    size = 4096
    table = np.full(size, -1, np.int64)
    found = 0
    for row in range(count):
        hashed = hashes[row]
        slot = np.int64(hashed & np.uint64(size - 1))
        while True:
            code = table[slot]
            if code < 0:
                break
            first = firsts[code]
            if hashes[first] == hashed and _same(offsets, data, first, offsets, data, row):
                break
            slot = (slot + 1) & (size - 1)
        if code < 0:
            if found == len(firsts):
                longer = np.empty(2 * found, np.int64)
                longer[:found] = firsts
                firsts = longer
            code = found
            firsts[code] = row
            table[slot] = code
            found += 1
            if 2 * found > size:
                size *= 4
                table = np.full(size, -1, np.int64)
                for known in range(found):
                    slot = np.int64(hashes[firsts[known]] & np.uint64(size - 1))
                    while table[slot] >= 0:
                        slot = (slot + 1) & (size - 1)
                    table[slot] = known
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
