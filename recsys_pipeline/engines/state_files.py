"""States as files: the kept ones, and those that a run holds on disk because they are large."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, overload

import numpy as np
import pyarrow as pa

from recsys_pipeline.storage.array_files import ArrayFile, read_groups, write_groups
from recsys_pipeline.transforms.state import State, Users

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from recsys_pipeline.storage.array_files import Arrays
    from recsys_pipeline.storage.objects import ObjectStore
    from recsys_pipeline.transforms.entities import Entities
    from recsys_pipeline.transforms.merge import Merge


CHECKSUM = "checksum"


class _Buckets(Sequence[Users]):
    """Buckets of a file, mapped into memory while they are held."""

    def __init__(self, file: ArrayFile) -> None:
        self._file = file

    def __len__(self) -> int:
        return len(self._file) - 1

    @overload
    def __getitem__(self, number: int) -> Users: ...
    @overload
    def __getitem__(self, number: slice) -> list[Users]: ...
    def __getitem__(self, number: int | slice) -> Users | list[Users]:
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return Users.of_arrays(self._file.group(number + 1))


def merged_state(merge: Merge, store: ObjectStore, limit: int) -> State:
    """Return the state after a pass: in memory when it is one bucket, else in a file without a name.

    Args:
        merge: The merge.
        store: Says where local files may be.
        limit: Bytes of a bucket.
    """
    buckets = merge.buckets(limit)
    first = list(islice(buckets, 2))
    if len(first) == 1:
        return State.of(merge.items, tuple(first))
    every = chain(first, buckets)
    del first  # the chain lets go of them as they are written
    path = store.temporary()
    try:
        write_groups(path, _groups(merge.items, every))
        file = ArrayFile(path.open("rb"))
    finally:
        path.unlink(missing_ok=True)
    return State.of(merge.items, _Buckets(file))


def keep_state(store: ObjectStore, path: str, state: State) -> None:
    """Write a state as one object, switched as a whole."""
    temporary = store.temporary()
    try:
        groups = _groups(state.items, state.buckets)
        write_groups(temporary, (group | {CHECKSUM: _checksum(group)} for group in groups))
        store.put_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def kept_state(store: ObjectStore, path: str) -> State | None:
    """Read what `keep_state` wrote; None where it isn't there, or damaged."""
    file = read_groups(store, path)
    if file is None:
        return None
    try:
        if len(file) > 1 and all(_is_whole(file.group(n)) for n in range(len(file))):
            return State.of(Users.of_arrays(file.group(0)).entities, _Buckets(file))
    except (KeyError, ValueError, OSError, pa.ArrowException):
        pass
    file.close()
    return None


def _checksum(group: Arrays) -> npt.NDArray[np.uint32]:
    checksum = 0
    for name in sorted(group):
        checksum = zlib.crc32(np.ascontiguousarray(group[name]).view(np.uint8).data, checksum)
    return np.array([checksum], np.uint32)


def _is_whole(group: Arrays) -> bool:
    """Say whether a group is as it was written: kernels check no bounds."""
    written = group.pop(CHECKSUM)
    return bool((_checksum(group) == written).all()) and len(written) == 1


def _groups(items: Entities, buckets: Iterable[Users]) -> Iterable[Arrays]:
    """Return the items as a bucket without lists, and the buckets."""
    none = Users.none()
    lists = (none.recent_offsets, none.recent, none.met_offsets, none.met)
    return (users.arrays() for users in chain([Users(0, items, *lists)], buckets))
