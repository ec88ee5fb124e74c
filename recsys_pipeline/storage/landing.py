"""The landing zone: one append-only Delta table for interactions and one for items.

Every ingestion path commits here and only here. A commit carries its rows together with Delta
app transactions, so that rows and the fact that they have landed are one:

- `upload/<tenant>/<key>` at `sequence`: the rows of that batch are in the table.
- `kafka/<cluster>/<topic>/<topic id>/<partition>` at an offset: the messages before it have landed.
- `retract/<batch_id>` at 1: the rows of that batch have been withdrawn.
- `layout` at n: the n-th commit that removed files. delta-rs doesn't see that a compaction has
  removed the files that another commit is about to remove (a retraction is then without effect,
  two compactions double the rows), and its own compaction records no transaction. So we compact
  ourselves, and of two commits that remove files at once the second always conflicts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys_pipeline.errors import ContractError, LandingError, OffsetError
from recsys_pipeline.storage.delta_files import (
    DataFiles,
    compactable,
    live_files,
    merge,
    removal,
    touched,
)
from recsys_pipeline.storage.landing_log import (
    commits,
    transaction_version,
)
from recsys_pipeline.storage.landing_snapshot import (
    MODELS,
    TABLES,
    Kind,
    LandedContent,
    LandingSnapshot,
    retraction_id,
    upload_id,
)
from recsys_pipeline.storage.landing_table import ATTEMPTS, LandingTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from deltalake import DeltaTable, Transaction

BUFFER_BYTES = 128 * 2**20
BINS = 256  # compacted files per commit: what a conflict makes again
LAYOUT = "layout"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """One of several small batches that land in one transaction.

    Attributes:
        rows: Rows of the landing schema, all of one tenant.
        app_id: The transaction by which it is known to have landed.
        sequence: Number of this landing under its key, from 1.
    """

    rows: pl.DataFrame
    app_id: str
    sequence: int


class Landing(LandingTable):
    """The landing table of one kind under a storage root.

    Attributes:
        buffer_bytes: Rows of a batch in memory before they are written; fewer make more files.
    """

    buffer_bytes = BUFFER_BYTES

    def snapshot(self, version: int | None = None) -> LandingSnapshot:
        """Pin a version of the table, the latest by default; -1 is the table before it exists.

        Raises:
            LandingError: The table has no such version, or no longer.
        """
        table = None if version == -1 else self._open(version)
        return LandingSnapshot(self.kind, table, self.uri)

    def sequence(self, tenant: str, key: str) -> int | None:
        """Return the committed sequence of an upload's key, None when it has never landed."""
        return self.snapshot().sequence(tenant, key)

    def is_retracted(self, batch_id: str) -> bool:
        """Say whether the batch has been withdrawn."""
        return self.snapshot().is_retracted(batch_id)

    def append(
        self,
        frames: Iterable[pl.DataFrame],
        *,
        tenant: str,
        key: str,
        sequence: int,
        replaces: str | None = None,
    ) -> bool:
        """Land a batch in one transaction, exactly once.

        Memory is bounded by `BUFFER_BYTES`, whatever the number of rows. When `frames` raises,
        nothing is committed and its files are removed. After a crash the files stay, unnamed by
        any commit, until the table is vacuumed.

        Args:
            frames: Rows of the landing schema, all of `tenant`.
            tenant: Owner of the rows.
            key: Idempotency key of the upload.
            sequence: Number of this landing under its key, from 1.
            replaces: A batch whose rows leave the table in the same transaction.

        Returns:
            True when the rows were committed by this call; False when that sequence or a later
            one is already committed, here or by a concurrent writer.

        Raises:
            ContractError: A frame is not of the landing schema, or has rows of another tenant.
            LandingError: Other writers won every attempt.
        """
        from deltalake import Transaction

        app_id = upload_id(tenant, key)
        table = self._writable()
        if (table.transaction_version(app_id) or 0) >= sequence:
            return False
        staged = DataFiles(self.store, TABLES[self.kind])
        try:
            for rows in self._buffered(frames, tenant):
                staged.write(rows)
        except BaseException:
            staged.discard()
            raise
        # from the first try on, files of ours are left to `landing_vacuum`: a commit whose answer
        # was lost may name them
        for _ in range(ATTEMPTS):
            staged.require_recent()
            actions: list[Any] = list(staged.added)
            transactions = [Transaction(app_id, sequence)]
            if replaces is not None:
                actions += self._removal(table, replaces)[1]
                transactions += self._withdrawing(table, replaces)
            if self._commit(table, actions, transactions):
                return True
            # commit through the very object on which the transaction is read: a path would
            # reload the table unseen and let a duplicate pass
            table = self._reopen()
            if (table.transaction_version(app_id) or 0) >= sequence:
                # a commit whose answer was lost conflicts with itself
                mine = {action.path for action in staged.added}
                return bool(mine) and mine <= set(live_files(table)["path"])
        raise self._contended()

    def piece(self, frames: Sequence[pl.DataFrame], tenant: str, key: str, sequence: int) -> Piece:
        """Return a small batch for `append_group`. Arguments as of `append`.

        Raises:
            ContractError: A frame is not of the landing schema, or has rows of another tenant.
        """
        rows = list(self._buffered(frames, tenant))
        frame = pl.concat(rows) if rows else pl.DataFrame(schema=self._schema)
        return Piece(frame, upload_id(tenant, key), sequence)

    def append_group(self, pieces: Sequence[Piece]) -> list[bool]:
        """Land several batches in one transaction, each exactly once.

        Returns:
            For each what `append` would return.

        Raises:
            LandingError: Other writers won every attempt.
        """
        from deltalake import Transaction

        table = self._writable()
        landed = [False] * len(pieces)
        for _ in range(ATTEMPTS):
            todo: dict[str, int] = {}
            for number, piece in enumerate(pieces):
                if (table.transaction_version(piece.app_id) or 0) < piece.sequence:
                    todo.setdefault(piece.app_id, number)  # of two alike the first lands
            if not todo:
                return landed
            staged = DataFiles(self.store, TABLES[self.kind])
            try:
                staged.write(pl.concat([pieces[number].rows for number in todo.values()]))
            except BaseException:
                staged.discard()
                raise
            transactions = [
                Transaction(app_id, pieces[number].sequence) for app_id, number in todo.items()
            ]
            if self._commit(table, list(staged.added), transactions):
                mine = set(todo.values())
                return [number in mine for number in range(len(pieces))]
            # as in `append`: what has landed is read on the very object that commits
            table = self._reopen()
            files = {action.path for action in staged.added}
            if files and files <= set(live_files(table)["path"]):
                mine = set(todo.values())  # a commit whose answer was lost conflicts with itself
                return [number in mine for number in range(len(pieces))]
        raise self._contended()

    def append_offsets(
        self, rows: pl.DataFrame, *, app_id: str, after: int | None, end: int
    ) -> None:
        """Land rows of a Kafka partition together with the offset that follows them.

        Args:
            rows: Rows of the landing schema, of any tenants.
            app_id: Identity of the partition, see `TopicState.app_id`.
            after: The landed offset that the rows follow; None where none has landed.
            end: The landed offset from now on.

        Raises:
            ContractError: The rows are not of the landing schema.
            OffsetError: The landed offset is another one; nothing has landed.
            LandingError: Other writers won every attempt.
        """
        from deltalake import Transaction

        self._check_rows(rows)
        table = self._writable()
        _check_offset(table.transaction_version(app_id), app_id, after)
        staged = DataFiles(self.store, TABLES[self.kind])
        try:
            staged.write(rows)
        except BaseException:
            staged.discard()
            raise
        for _ in range(ATTEMPTS):
            staged.require_recent()
            if self._commit(table, list(staged.added), [Transaction(app_id, end)]):
                return
            # as in `append`: the offset is read on the very object that commits
            table = self._reopen()
            mine = {action.path for action in staged.added}
            if mine and mine <= set(live_files(table)["path"]):
                return  # a commit whose answer was lost conflicts with itself
            _check_offset(table.transaction_version(app_id), app_id, after)
        raise self._contended()

    def require_offset(self, app_id: str, after: int | None) -> None:
        """Check that a Kafka partition has landed just up to an offset.

        Raises:
            OffsetError: It has not.
        """
        _check_offset(self.snapshot().offset(app_id), app_id, after)

    def retract(self, batch_id: str) -> int:
        """Withdraw a batch in one transaction.

        Returns:
            Number of rows removed; 0 when it had none or was withdrawn before.

        Raises:
            LandingError: There is no table, or other writers won every attempt.
        """
        for _ in range(ATTEMPTS):
            table = self._reopen()
            if table.transaction_version(retraction_id(batch_id)) is not None:
                return 0
            rows, actions = self._removal(table, batch_id)
            if self._commit(table, actions, self._withdrawing(table, batch_id)):
                return rows
        raise self._contended()

    def compact(self) -> None:
        """Merge the small files of each partition and write a checkpoint; no row changes.

        Raises:
            LandingError: Other writers won every attempt.
        """
        lost = 0
        while lost < ATTEMPTS:
            table = self._open()
            if table is None:
                return
            bins = compactable(live_files(table))
            if not bins:
                table.create_checkpoint()
                return
            lost += not self.merge(table, bins[:BINS])
        raise self._contended()

    def merge(self, table: DeltaTable, bins: list[pl.DataFrame]) -> bool:
        """Replace the files of each bin by one, in one transaction; no row changes.

        Args:
            table: The latest version.
            bins: Rows of `live_files` of that version, of one (day, tenant) per bin.

        Returns:
            False when another commit stood in the way; nothing has changed then.
        """
        merged = DataFiles(self.store, TABLES[self.kind], data_change=False)
        try:
            removed = [gone for files in bins for gone in merge(self.uri, files, merged)]
        except BaseException:
            merged.discard()
            raise
        return self._commit(table, [*merged.added, *removed], [self._next_layout(table)])

    def changes(self, since: int) -> set[tuple[date, str]]:
        """Name the (day, tenant) pairs whose rows changed after a version, up to the latest.

        Raises:
            LandingError: The log no longer holds every commit after that version, or the table
                has never had it.
        """
        version = self.snapshot().version
        if since > version:
            raise LandingError(
                self.uri, f"has no version {since}, its latest is {version}", "Compare content()"
            )
        found: set[tuple[date, str]] = set()
        for commit in commits(self.store, TABLES[self.kind], since + 1, version):
            if commit is None:
                raise LandingError(
                    self.uri, f"no longer has the log after version {since}", "Compare content()"
                )
            found |= touched(commit)
        return found

    def _after_commit(self, version: int) -> None:
        """Do the upkeep that is due; a failure is told and left to the next, the commit stands.

        Args:
            version: The version on which the commit was made.
        """
        from recsys_pipeline.storage.landing_upkeep import upkeep

        try:
            upkeep(self, version)
        except Exception:
            log.warning("%s: upkeep failed; a later commit does it", self.uri, exc_info=True)

    def _buffered(self, frames: Iterable[pl.DataFrame], tenant: str) -> Iterator[pl.DataFrame]:
        buffer: list[pl.DataFrame] = []
        size = 0
        for frame in frames:
            self._check_rows(frame)
            if not frame["tenant"].eq_missing(tenant).all():
                raise ContractError(self.uri, f"refuses rows that are not of {tenant!r}")
            buffer.append(frame)
            size += int(frame.estimated_size())
            if size >= min(self.buffer_bytes, BUFFER_BYTES):
                yield pl.concat(buffer)
                buffer, size = [], 0
        if buffer:
            yield pl.concat(buffer)

    def _removal(self, table: DeltaTable, batch_id: str) -> tuple[int, list[Any]]:
        rewritten = DataFiles(self.store, TABLES[self.kind])
        rows, removed = removal(table, self.uri, batch_id, rewritten)
        return rows, [*removed, *rewritten.added]

    def _next_layout(self, table: DeltaTable) -> Transaction:
        from deltalake import Transaction

        return Transaction(LAYOUT, (transaction_version(self.uri, table, LAYOUT) or 0) + 1)

    def _withdrawing(self, table: DeltaTable, batch_id: str) -> list[Transaction]:
        from deltalake import Transaction

        return [Transaction(retraction_id(batch_id), 1), self._next_layout(table)]


def _check_offset(landed: int | None, app_id: str, after: int | None) -> None:
    if landed != after:
        raise OffsetError(
            app_id,
            f"has landed up to {_offset(landed)}, and the range follows {_offset(after)}",
            "Plan the range anew: the sensor does, and so does `recsys kafka land`",
        )


def _offset(landed: int | None) -> str:
    return "nothing" if landed is None else f"offset {landed}"


__all__ = ["MODELS", "TABLES", "Kind", "LandedContent", "Landing", "LandingSnapshot", "Piece"]
