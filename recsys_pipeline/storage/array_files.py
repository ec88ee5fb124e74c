"""Named arrays in one Arrow IPC file, not compressed, so that a reader maps what it touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from recsys_pipeline.storage.objects import ObjectStore


def write_arrays(
    store: ObjectStore, path: str, arrays: Mapping[str, npt.NDArray[np.generic]]
) -> int:
    """Write one-dimensional arrays as one object, switched as a whole.

    Returns:
        Bytes of the object.
    """
    # one row: each array is a list of its own length
    columns = {
        name: pa.LargeListArray.from_arrays(pa.array([0, len(array)], pa.int64()), pa.array(array))
        for name, array in arrays.items()
    }
    batch = pa.record_batch(columns)
    temporary = store.temporary()
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    return store.put_file(temporary, path).size


def read_arrays(store: ObjectStore, path: str) -> dict[str, npt.NDArray[Any]] | None:
    """Read what `write_arrays` wrote, without a copy where the store is a local disk.

    Returns:
        Read-only arrays by name; None when there is no such object, or it can't be read.
    """
    buffer = store.buffer(path)
    if buffer is None:
        return None
    try:
        batch = pa.ipc.open_file(pa.py_buffer(buffer)).get_batch(0)
        return {
            name: batch.column(name).values.to_numpy(zero_copy_only=True)
            for name in batch.schema.names
        }
    except (pa.ArrowInvalid, OSError, ValueError, AttributeError):
        return None
