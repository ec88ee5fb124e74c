"""Dagster's SQLite instance storage, writing the events of a range run in batches.

Dagster hands over what it plans and what it has made of a range in batches, when its variable
`DAGSTER_EVENT_BATCH_SIZE` is set, but its own SQLite storage writes them one by one in several
transactions: measured at four fifths of the time of a range run (docs/adr/0007). `dagster.yaml`
names `BatchingStorage`; the files are those of Dagster's default storage, so an instance can go
back and forth between the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster._core.events import ASSET_EVENTS, BATCH_WRITABLE_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage, _event_logs_directory

if TYPE_CHECKING:
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import ConfigurableClassData

BATCHED = ASSET_EVENTS & BATCH_WRITABLE_EVENTS


class BatchingEventLog(SqliteEventLogStorage):
    """Dagster's SQLite event log with one transaction per file for a batch of events."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the asset events of each run together, the few others one by one."""
        by_run: dict[str, list[EventLogEntry]] = {}
        others: list[EventLogEntry] = []
        for event in events:
            if event.dagster_event_type in BATCHED:
                by_run.setdefault(event.run_id, []).append(event)
            else:
                others.append(event)
        # a batch that fails is stored again one by one, and that fails on what is there already
        for run_id, batch in by_run.items():
            self._store_asset_events(run_id, batch)
        for event in others:
            self.store_event(event)

    def _store_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        insert = SqlEventLogStorageTable.insert()
        with self.run_connection(run_id) as connection:
            connection.execute(insert, rows)
        # the index is a file of its own, for what is asked of an asset across runs
        with self.index_transaction() as connection:
            in_order = insert.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
            ids = [row[0] for row in connection.execute(in_order, rows)]
            self._store_asset_event_tags(connection, events, ids)
            # an asset's entry tells its latest event only
            latest = {row["asset_key"]: n for n, row in enumerate(rows)}
            for n in latest.values():
                self._store_asset_event(connection, events[n], ids[n])


class BatchingStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage of runs, schedules and events, with a `BatchingEventLog`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = BatchingEventLog(_event_logs_directory(base_dir))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> BatchingStorage:
        """Make the storage from its block of `dagster.yaml`."""
        return cls.from_local(config_value["base_dir"], inst_data)
