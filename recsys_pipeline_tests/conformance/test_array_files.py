from __future__ import annotations

import numpy as np

from recsys_pipeline.storage.array_files import read_arrays, write_arrays
from recsys_pipeline.storage.objects import open_store


def test_arrays_come_back_as_they_were_and_outlive_their_object(root):
    store = open_store(root)
    arrays = {
        "words": np.array([0, 2**64 - 1], np.uint64),
        "numbers": np.arange(10_000),
        "codes": np.array([7], np.uint32),
        "none": np.empty(0, np.int64),
        "bytes": np.frombuffer("é".encode(), np.uint8),
    }
    size = write_arrays(store, "_meta/state/a.arrow", arrays)
    assert size == store.list("_meta/state/")["_meta/state/a.arrow"].size
    found = read_arrays(store, "_meta/state/a.arrow")
    assert found is not None
    write_arrays(store, "_meta/state/a.arrow", {"numbers": np.zeros(3, np.int64)})
    store.delete("_meta/state/a.arrow")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].tolist() == array.tolist()
        assert not found[name].flags.writeable


def test_what_is_not_there_or_is_no_such_file_is_none(root):
    store = open_store(root)
    assert store.buffer("_meta/none") is None
    assert read_arrays(store, "_meta/none") is None
    for data in (b"", b"not Arrow", b"ARROW1\0\0" + bytes(64)):
        store.write("_meta/odd", data)
        assert bytes(store.buffer("_meta/odd")) == data
        assert read_arrays(store, "_meta/odd") is None
