"""States as files: the kept ones, and those that a run holds on disk because they are large."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, overload

from recsys_pipeline.storage.array_files import ArrayFile, read_groups, write_groups
from recsys_pipeline.transforms.state import State, Users

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys_pipeline.storage.array_files import Arrays
    from recsys_pipeline.storage.objects import ObjectStore
    from recsys_pipeline.transforms.entities import Entities
    from recsys_pipeline.transforms.merge import Merge


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
    path = store.temporary()
    try:
        write_groups(path, _groups(merge.items, chain(first, buckets)))
        del first
        file = ArrayFile(path.open("rb"))
    finally:
        path.unlink(missing_ok=True)
    return State.of(merge.items, _Buckets(file))


def keep_state(store: ObjectStore, path: str, state: State) -> None:
    """Write a state as one object, switched as a whole."""
    temporary = store.temporary()
    write_groups(temporary, _groups(state.items, state.buckets))
    store.put_file(temporary, path)


def kept_state(store: ObjectStore, path: str) -> State | None:
    """Read what `keep_state` wrote; None where it isn't there, or damaged."""
    file = read_groups(store, path)
    if file is None or len(file) < 2:
        return None
    items = Users.of_arrays(file.group(0)).entities
    return State.of(items, _Buckets(file))


def _groups(items: Entities, buckets: Iterable[Users]) -> Iterable[Arrays]:
    """Return the items as a bucket without lists, and the buckets."""
    none = Users.none()
    lists = (none.recent_offsets, none.recent, none.met_offsets, none.met)
    return (users.arrays() for users in chain([Users(0, items, *lists)], buckets))
