"""Bounds of production code made small, so that a schedule of a few rows passes all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# SEGMENT is in names of files: every process of a schedule has the same
SMALL = {
    "recsys_pipeline.storage.landing_log": {
        "KEPT": 4,
        "SETTLED_SECONDS": 0,
        "SEGMENT": 8,
        "MOVED": 8,
    },
    "recsys_pipeline.storage.landing_upkeep": {"CHECKPOINT": 2, "ROUND": 4, "UPLOADED": 3},
    "recsys_pipeline.storage.landing_vacuum": {"SEGMENT": 8},
    # how long is waited for more messages than there are
    "recsys_pipeline.kafka.reader": {"WAIT_SECONDS": 0.02},
}


def make_small(put: Callable[[Any, str, Any], None]) -> None:
    """Set the bounds.

    Args:
        put: Sets an attribute of a module, as `setattr` does.
    """
    from importlib import import_module

    for name, bounds in SMALL.items():
        module = import_module(name)
        for bound, value in bounds.items():
            if not hasattr(module, bound):
                raise AttributeError(f"{name} has no {bound} any more")
            put(module, bound, value)
