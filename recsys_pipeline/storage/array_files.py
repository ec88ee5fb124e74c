"""Groups of named arrays in one Arrow IPC file, not compressed, so that a reader maps what it touches."""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    import numpy.typing as npt

    from recsys_pipeline.storage.objects import ObjectStore

Arrays = dict[str, "npt.NDArray[Any]"]


def write_groups(path: Path, groups: Iterable[Mapping[str, npt.NDArray[Any]]]) -> None:
    """Write groups of one-dimensional arrays, one after the other, as a local file.

    Args:
        path: Where.
        groups: At least one; all with the same names and dtypes.
    """
    with pa.OSFile(str(path), "wb") as file:
        writer = None
        for group in groups:
            # one row: each array is a list of its own length
            batch = pa.record_batch(
                {
                    name: pa.LargeListArray.from_arrays(
                        pa.array([0, len(array)], pa.int64()), pa.array(array)
                    )
                    for name, array in group.items()
                }
            )
            writer = writer or pa.ipc.new_file(file, batch.schema)
            writer.write_batch(batch)
        if writer is not None:
            writer.close()


class ArrayFile:
    """A file of groups of arrays, read a group at a time.

    The memory of a group goes with its last array. The file may be replaced or deleted meanwhile.

    Args:
        file: The open file.

    Raises:
        ValueError: It is not such a file, or not a whole one.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            self._count: int = self._open().num_record_batches
            for number in range(self._count):
                self.group(number)
        except (pa.ArrowInvalid, OSError, AttributeError) as error:
            raise ValueError(str(error)) from error

    def __len__(self) -> int:
        return self._count

    def group(self, number: int) -> Arrays:
        """Map a group into memory: read-only arrays by name."""
        batch = self._open().get_batch(number)
        batch.validate()  # lengths that lie would be read past the end of the map
        return {
            name: batch.column(name).values.to_numpy(zero_copy_only=True)
            for name in batch.schema.names
        }

    def close(self) -> None:
        """Close the file; groups that are held stay."""
        self._file.close()

    def _open(self) -> pa.ipc.RecordBatchFileReader:
        # a map of its own each time, so that the pages read are given back with it
        return pa.ipc.open_file(pa.py_buffer(mmap(self._file.fileno(), 0, access=ACCESS_READ)))


def read_groups(store: ObjectStore, path: str) -> ArrayFile | None:
    """Open what `write_groups` wrote and `put_file` stored; None where it isn't there, or damaged."""
    file = store.open(path)
    if file is None:
        return None
    try:
        return ArrayFile(file)
    except ValueError:
        file.close()
        return None
