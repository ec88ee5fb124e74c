"""Erasure from Dagster's own records: events, ticks, runs, and the output of runs.

The pipeline writes no user's id there. An exception of a library can, and so can who types one into the
configuration of a run. Only values are changed, and only whole words of them: keys, names of classes,
ids of runs and days are what Dagster finds its records by.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from sqlalchemy import Engine, create_engine, inspect, text

from recsys_pipeline.engines.pending import STORED
from recsys_pipeline.maintenance.erasure.receipt import Layer
from recsys_pipeline.settings import INTERACTION_TYPES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ERASED = "[erased]"
# table -> (its key, its columns of JSON)
TEXTS = {
    "event_logs": ("id", ("event",)),
    "asset_keys": ("id", ("last_materialization", "cached_status_data")),
    "asset_check_executions": ("id", ("evaluation_event",)),
    "runs": ("id", ("run_body",)),
    "bulk_actions": ("id", ("body",)),
    "job_ticks": ("id", ("tick_body",)),
    "asset_daemon_asset_evaluations": ("id", ("asset_evaluation_body",)),
}
# an id that is also a word of these records can't be told from the word
OWN_WORDS = {*STORED, *INTERACTION_TYPES, "raw_interactions", "raw_items", "training_dataset"}
SHORTEST = 3
_STRING = re.compile(
    r'(?P<kind>"__(?:class|enum)__"\s*:\s*)?"(?:[^"\\]|\\.)*"(?P<key>\s*:)?', re.DOTALL
)


def erase_logs(
    ids: Collection[tuple[str, str | None]], tenants: Collection[str]
) -> Iterator[Layer]:
    """Replace the ids of users in the records of the configured Dagster instance.

    Args:
        ids: User ids, each with the id of an item, which is left.
        tenants: Names of tenants, which the records are full of; an id like one is not looked for.

    Yields:
        What was done: to the databases, then to the output of runs.
    """
    users = {user for user, _ in ids}
    sought = {user for user in users if len(user) >= SHORTEST} - OWN_WORDS - set(tenants)
    note = "" if sought == users else "ids that are short or a word of ours were not looked for"
    with dg.DagsterInstance.get() as instance:
        databases = _databases(instance)
        try:
            yield _databases_erased(databases, sought, note)
        finally:
            for database in databases:
                database.dispose()
        logs = instance.compute_log_manager
        if isinstance(logs, LocalComputeLogManager):
            yield _outputs_erased(Path(logs._base_dir), sought, note)  # noqa: SLF001  # has no other name
        else:
            kind = type(logs).__name__
            yield Layer(name="output of runs", note=f"{kind}: not looked at, it expires by itself")


def _databases(instance: dg.DagsterInstance) -> list[Engine]:
    url = getattr(instance.event_log_storage, "postgres_url", None)
    if url is not None:
        return [create_engine(url)]
    home = Path(instance.root_directory)
    return [
        create_engine(f"sqlite:///{path}")
        for folder in ("history", "schedules")
        for path in sorted((home / folder).rglob("*.db"))
    ]


def _databases_erased(databases: list[Engine], sought: Collection[str], note: str) -> Layer:
    tables = rows = 0
    for database in databases:
        there = set(inspect(database).get_table_names())
        for name in there & set(TEXTS):
            tables += 1
            rows += _table_erased(database, name, sought)
    return Layer(name="dagster's records", looked_at=tables, rows=rows, note=note)


def _table_erased(database: Engine, name: str, sought: Collection[str]) -> int:
    key, columns = TEXTS[name]
    changed = 0
    for column in columns:
        select = text(f"SELECT {key}, {column} FROM {name} WHERE {column} LIKE :like ESCAPE '!'")  # noqa: S608  # names of ours
        update = text(f"UPDATE {name} SET {column} = :text WHERE {key} = :key")  # noqa: S608  # names of ours
        for user in sorted(sought):
            inside = json.dumps(user)[1:-1]
            escaped = re.sub(r"([!%_])", r"!\1", inside)
            with database.begin() as connection:
                for row_key, found in connection.execute(select, {"like": f"%{escaped}%"}).all():
                    made = _without(found, inside)
                    if made != found:
                        connection.execute(update, {"text": made, "key": row_key})
                        changed += 1
    return changed


def _outputs_erased(folder: Path, sought: Collection[str], note: str) -> Layer:
    looked_at = changed = 0
    for path in sorted(folder.rglob("*")):
        if path.suffix not in {".out", ".err"} or not path.is_file():
            continue
        looked_at += 1
        found = path.read_text(encoding="utf-8", errors="surrogateescape")
        made = found
        for user in sought:
            made = _whole_word(user).sub(ERASED, made)
        if made != found:
            path.write_text(made, encoding="utf-8", errors="surrogateescape")
            changed += 1
    return Layer(name="output of runs", looked_at=looked_at, changed=changed, note=note)


def _without(document: str, user: str) -> str:
    """Replace a word in the values of a JSON document that are strings, and nowhere else."""
    word = _whole_word(user)

    def replaced(found: re.Match[str]) -> str:
        return found[0] if found["kind"] or found["key"] else word.sub(ERASED, found[0])

    return _STRING.sub(replaced, document)


def _whole_word(user: str) -> re.Pattern[str]:
    """Return a pattern of a word that no letter, digit or joined word is beside; an escape may be."""
    before = r"(?:(?<![0-9A-Za-z_])(?<![0-9A-Za-z_][-./])|(?<=\\[bfnrt]))"
    return re.compile(rf"{before}{re.escape(user)}(?![-./]?[0-9A-Za-z_])")
