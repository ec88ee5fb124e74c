"""Where an id is, in whatever form it is stored: nothing is found in the bytes of a compressed file."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.engines.state_files import kept_state
from recsys_pipeline.storage.objects import open_store

if TYPE_CHECKING:
    from pathlib import Path


def layers_with(root, user: str) -> dict[str, list[str]]:
    """Return the paths below a root that hold an id, by layer."""
    found: dict[str, list[str]] = {}
    objects = open_store(str(root))
    for path in sorted(objects.list("")):
        if holds(objects, path, user):
            found.setdefault(_layer(path), []).append(path)
    return found


def holds(objects, path: str, user: str) -> bool:
    """Decode a file and look for an id in it."""
    if path.endswith(".parquet"):
        return _in_frame(pl.read_parquet(objects.uri(path), hive_partitioning=False), user)
    if path.endswith(".arrow"):
        state = kept_state(objects, path)
        assert state is not None, path
        return any(user in bucket.entities.ids.to_pylist() for bucket in state.buckets)
    return user.encode() in (objects.read(path) or b"")


def in_database(path: Path, user: str) -> bool:
    """Look for an id in every value of every table of an SQLite file."""
    with sqlite3.connect(path) as database:
        return any(user in line for line in database.iterdump())


def _in_frame(frame: pl.DataFrame, user: str) -> bool:
    return user in frame.write_ndjson()


def _layer(path: str) -> str:
    if "/_delta_log/" in path:
        return "delta log"
    if path.startswith("_meta/"):
        return "/".join(path.split("/")[:2])
    if path.startswith("training_dataset/"):
        return "release vocabularies" if "vocabularies" in path else "release rows"
    return path.split("/", 1)[0]
