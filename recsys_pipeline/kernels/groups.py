"""Rows grouped by a dense code: compressed sparse rows by counting sort, and lists of any length."""

from __future__ import annotations

import numpy as np

from recsys_pipeline.kernels.jit import Codes, Ints, kernel


@kernel
def counting_sort(keys: Codes, size: int) -> tuple[Ints, Codes]:
    """Sort rows by a dense key, keeping their order within a key.

    Args:
        keys: The key of each row, 0 to size - 1.
        size: Number of keys.

    Returns:
        Offsets: key k's rows are from offsets[k] to offsets[k + 1] of the second array; and the
        rows, sorted.
    """
    offsets = np.zeros(size + 1, np.int64)
    for key in keys:
        offsets[key + 1] += 1
    for key in range(size):
        offsets[key + 1] += offsets[key]
    place = offsets[:-1].copy()
    rows = np.empty(len(keys), np.uint32)
    for row in range(len(keys)):
        key = keys[row]
        rows[place[key]] = row
        place[key] += 1
    return offsets, rows


@kernel
def is_ordered(offsets: Ints, rows: Codes, times: Ints, items: Codes) -> bool:
    """Tell whether each group's rows ascend by (time, item)."""
    for group in range(len(offsets) - 1):
        for at in range(offsets[group] + 1, offsets[group + 1]):
            before, row = rows[at - 1], rows[at]
            if times[before] > times[row]:
                return False
            if times[before] == times[row] and items[before] > items[row]:
                return False
    return True


@kernel
def replace_lists(
    offsets: Ints, values: Codes, owners: Ints, new_offsets: Ints, new_values: Codes, size: int
) -> tuple[Ints, Codes]:
    """Replace the lists of some owners, and give others their first.

    Args:
        offsets: Offsets of the lists that there are.
        values: Their values.
        owners: Owner of each new list; owners beyond the present ones included.
        new_offsets: Offsets of the new lists.
        new_values: Their values.
        size: Number of owners afterwards.
    """
    present = len(offsets) - 1
    chosen = np.full(size, -1, np.int64)
    for number in range(len(owners)):
        chosen[owners[number]] = number
    result = np.zeros(size + 1, np.int64)
    for owner in range(size):
        number = chosen[owner]
        if number >= 0:
            length = new_offsets[number + 1] - new_offsets[number]
        elif owner < present:
            length = offsets[owner + 1] - offsets[owner]
        else:
            length = 0
        result[owner + 1] = result[owner] + length
    merged = np.empty(result[size], np.uint32)
    for owner in range(size):
        number, begin, end = chosen[owner], result[owner], result[owner + 1]
        if number >= 0:
            merged[begin:end] = new_values[new_offsets[number] : new_offsets[number + 1]]
        elif owner < present:
            merged[begin:end] = values[offsets[owner] : offsets[owner + 1]]
    return result, merged


@kernel
def take_lists(offsets: Ints, values: Codes, owners: Ints) -> tuple[Ints, Codes]:
    """Return the lists of some owners, one after the other.

    Args:
        offsets: Owner o's list is `values[offsets[o]:offsets[o + 1]]`.
        values: What is in the lists.
        owners: The owners wanted; -1 gives an empty list.
    """
    result = np.zeros(len(owners) + 1, np.int64)
    for number in range(len(owners)):
        owner = owners[number]
        length = offsets[owner + 1] - offsets[owner] if owner >= 0 else 0
        result[number + 1] = result[number] + length
    taken = np.empty(result[len(owners)], np.uint32)
    for number in range(len(owners)):
        owner = owners[number]
        if owner >= 0:
            taken[result[number] : result[number + 1]] = values[offsets[owner] : offsets[owner + 1]]
    return result, taken
