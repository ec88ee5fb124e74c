from __future__ import annotations

import numpy as np

from recsys_pipeline.storage.array_files import read_groups, write_groups
from recsys_pipeline.storage.objects import open_store

GROUPS = [
    {
        "words": np.array([0, 2**64 - 1], np.uint64),
        "numbers": np.arange(10_000),
        "codes": np.array([7], np.uint32),
        "none": np.empty(0, np.int64),
        "bytes": np.frombuffer("é".encode(), np.uint8),
    },
    {
        "words": np.empty(0, np.uint64),
        "numbers": np.arange(3),
        "codes": np.arange(5, dtype=np.uint32),
        "none": np.empty(0, np.int64),
        "bytes": np.zeros(1, np.uint8),
    },
]


def put(store, path, groups):
    local = store.temporary()
    write_groups(local, groups)
    return store.put_file(local, path)


def test_arrays_come_back_as_they_were_and_outlive_their_object(root):
    store = open_store(root)
    size = put(store, "_meta/state/a.arrow", GROUPS).size
    assert size == store.list("_meta/state/")["_meta/state/a.arrow"].size
    found = read_groups(store, "_meta/state/a.arrow")
    assert found is not None
    put(store, "_meta/state/a.arrow", [{"numbers": np.zeros(3, np.int64)}])
    store.delete("_meta/state/a.arrow")
    assert len(found) == len(GROUPS)
    for number, group in enumerate(GROUPS):
        read = found.group(number)
        assert list(read) == list(group)
        for name, array in group.items():
            assert read[name].dtype == array.dtype
            assert read[name].tolist() == array.tolist()
            assert not read[name].flags.writeable


def test_what_is_not_there_or_is_no_such_file_is_none(root):
    store = open_store(root)
    assert store.open("_meta/none") is None
    assert read_groups(store, "_meta/none") is None
    put(store, "_meta/whole", GROUPS)
    whole = store.read("_meta/whole")
    for data in (
        b"",
        b"not Arrow",
        b"ARROW1\0\0" + bytes(64),
        whole[:-200],
        whole[: len(whole) // 2],
    ):
        store.write("_meta/odd", data)
        with store.open("_meta/odd") as file:
            assert file.read() == data
        assert read_groups(store, "_meta/odd") is None
