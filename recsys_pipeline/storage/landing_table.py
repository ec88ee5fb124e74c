"""Opening and committing a landing table; what is committed is `landing.py`'s business."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys_pipeline.errors import ContractError, LandingError
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.storage.delta_files import CONFIGURATION, COUNTED, PARTITIONS, STATISTICS
from recsys_pipeline.storage.landing_log import is_moved, open_version
from recsys_pipeline.storage.landing_snapshot import MODELS, TABLES, Kind
from recsys_pipeline.storage.objects import open_store

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema

ATTEMPTS = 20
PAUSE_SECONDS = 5.0  # of one commit, from which on it is looked up whether it stands


class LandingTable:
    """A landing table as its writers see it.

    Args:
        root: A local folder or `s3://bucket/prefix`.
        kind: `interactions` or `items`.

    Raises:
        LandingError: The root has a `%` in its path.
    """

    def __init__(self, root: str, kind: Kind) -> None:
        self.kind: Kind = kind
        self.store = open_store(root)
        self.uri = self.store.uri(TABLES[kind])
        if "%" in self.uri:
            raise LandingError(root, "has a % in its path, which Delta would decode", "Move it")
        self._schema = frame_schema(MODELS[kind])

    def _open(self, version: int | None = None) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(self.uri) if version is None else open_version(self.uri, version)
        except DeltaError as error:
            # a version before the log's first is reported as a table that is not there
            absent = isinstance(error, TableNotFoundError) and (
                version is None or self._open() is None
            )
            if version is None:
                if absent:
                    return None
                raise
            said = str(error).splitlines()[0]
            problem = "does not exist" if absent else f"has no version {version} ({said})"
        raise LandingError(self.uri, problem, "Read its latest version")

    def _reopen(self) -> DeltaTable:
        table = self._open()
        if table is None:
            raise LandingError(self.uri, "does not exist", "Ingest something first")
        return table

    def _writable(self) -> DeltaTable:
        """Return the latest version, made or widened so that it has the contract's columns.

        Raises:
            LandingError: Other writers won every attempt to widen it.
        """
        table = self._open() or self._create()
        for _ in range(ATTEMPTS):
            if not self._widen(table):
                return table
            table = self._reopen()
        raise self._contended()

    def _widen(self, table: DeltaTable) -> bool:
        """Add what an older contract did not have; return whether there was anything to add.

        The files stay: readers take a column that a file lacks as null.
        """
        from deltalake import PostCommitHookProperties
        from deltalake.exceptions import DeltaError

        absent = set(self._schema) - {field.name for field in table.schema().fields}
        counted = table.metadata().configuration.get(COUNTED, "").split(",")
        # more than we count is a newer contract's: two versions must not undo each other
        if not absent and set(STATISTICS) <= set(counted):
            return False
        added = [field for field in self._delta_schema().fields if field.name in absent]
        hooks = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
        try:
            if absent:
                table.alter.add_columns(added, post_commithook_properties=hooks)
            else:
                table.alter.set_table_properties(CONFIGURATION, post_commithook_properties=hooks)
        except DeltaError:
            # another process has widened it or committed meanwhile: what is there now tells
            if self._reopen().version() == table.version():
                raise
        return True

    def _delta_schema(self) -> Schema:
        from deltalake import Schema

        arrow = pl.DataFrame(schema=self._schema).to_arrow(compat_level=pl.CompatLevel.oldest())
        return Schema.from_arrow(arrow.schema)

    def _create(self) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            return DeltaTable.create(
                self.uri,
                schema=self._delta_schema(),
                mode="ignore",
                partition_by=PARTITIONS,
                configuration=CONFIGURATION,
            )
        except DeltaError:
            table = self._open()
            if table is None:
                raise
            return table

    def _commit(self, table: DeltaTable, actions: list[Any], transactions: list[Any]) -> bool:
        """Commit through `table` itself; False when a concurrent commit stands in the way."""
        from deltalake import CommitProperties, PostCommitHookProperties
        from deltalake.exceptions import CommitFailedError, DeltaError

        began = time.time()
        try:
            table.create_write_transaction(
                actions,
                mode="append",
                schema=table.schema(),
                partition_by=PARTITIONS,
                commit_properties=CommitProperties(app_transactions=transactions),
                # delta-rs would list the log at each commit, and fail one that has been made
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except CommitFailedError:
            return False
        except DeltaError:
            # the table was read so long ago that what followed has left the log
            if not is_moved(self.store, TABLES[self.kind], table.version() + 1):
                raise
            return False
        if time.time() - began > PAUSE_SECONDS and not self._is_seen(transactions):
            return False
        self._after_commit(table.version())
        return True

    def _is_seen(self, transactions: list[Any]) -> bool:
        """Return whether the latest version has what was committed.

        A process that is suspended between looking up the next version and writing it may write
        one that has left the log meanwhile: it succeeds, and nobody ever reads it.
        """
        table = self._reopen()
        return all(
            (table.transaction_version(one.app_id) or 0) >= one.version for one in transactions
        )

    def _after_commit(self, version: int) -> None:
        """Do what is due after a commit; nothing, unless a class says more."""

    def _contended(self) -> LandingError:
        return LandingError(
            self.uri, f"lost {ATTEMPTS} commits to concurrent writers", "Run it again"
        )

    def _check_rows(self, frame: pl.DataFrame) -> None:
        if frame.schema != self._schema:
            raise ContractError(self.uri, f"refuses a frame of {frame.schema}")
        if frame["date"].has_nulls() or frame["tenant"].has_nulls():
            raise ContractError(self.uri, "refuses rows without a date or a tenant")
