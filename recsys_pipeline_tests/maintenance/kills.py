"""Processes that end before a write or a deletion of an object."""

from __future__ import annotations

import pytest

from recsys_pipeline.storage.local_store import LocalStore


class KilledError(BaseException):
    """As if the process had ended: nothing catches it."""


@pytest.fixture
def kill_at(monkeypatch):
    """Return a function that makes the n-th write or deletion of an object from now on the last."""
    left = [-1]

    def trap(name):
        original = getattr(LocalStore, name)

        def act(store, *arguments, **more):
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return original(store, *arguments, **more)

        monkeypatch.setattr(LocalStore, name, act)

    for name in ("put_file", "write", "delete"):
        trap(name)
    return lambda number: left.__setitem__(0, number)
