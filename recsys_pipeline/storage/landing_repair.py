"""Replacement of landed rows by what they read as now, in one transaction.

The old rows leave and the new ones land under the `layout` transaction, as in an erasure: of two replays
at once the second conflicts, reads again and finds nothing left. A new row keeps batch and position, so
the batch goes on being one; its `revision` is the number of that transaction, which no other has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import polars as pl

from recsys_pipeline.storage.delta_files import DataFiles, live_files, may_hold, remove_action
from recsys_pipeline.storage.landing import BUFFER_BYTES, Landing
from recsys_pipeline.storage.landing_snapshot import TABLES
from recsys_pipeline.storage.landing_table import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from deltalake import DeltaTable
    from deltalake.transaction import RemoveAction


@dataclass(frozen=True)
class Scope:
    """Which files are read.

    Attributes:
        tenant: Whose.
        first: The first day; None means from the beginning.
        last: The last day; None means to the end.
        batch: Files that may have rows of this batch; None means any.
    """

    tenant: str
    first: date | None = None
    last: date | None = None
    batch: str | None = None

    def of(self, files: pl.DataFrame) -> pl.DataFrame:
        """Return those rows of `live_files` that are in it."""
        day = pl.col("partition.date")
        kept = [pl.col("partition.tenant") == self.tenant]
        kept += [] if self.first is None else [day >= self.first]
        kept += [] if self.last is None else [day <= self.last]
        kept += [] if self.batch is None else [may_hold(self.batch)]
        return files.filter(kept).sort("path")


@dataclass(frozen=True)
class Replacement:
    """Rows of a file that are replaced.

    Attributes:
        at: Their numbers in what was given, from 0; UInt32.
        rows: What takes their place, as many, of the landing schema; of any day and tenant.
    """

    at: pl.Series
    rows: pl.DataFrame


class Repairs(Protocol):
    """Says which rows are replaced, file by file."""

    def of(self, rows: pl.DataFrame) -> Replacement:
        """Return what of a file's rows (of the landing schema) is replaced."""
        ...


R = TypeVar("R", bound=Repairs)


class RepairableLanding(Landing):
    """A landing table whose rows can be replaced."""

    def repair(self, scope: Scope, begin: Callable[[], R], *, dry_run: bool = False) -> R:
        """Replace rows in one transaction, or change nothing.

        Memory is that of one file and of `BUFFER_BYTES` of new rows.

        Args:
            scope: Which files are read.
            begin: Makes what says which rows are replaced; called for each attempt.
            dry_run: Only read.

        Returns:
            What `begin` made for the attempt that stands.

        Raises:
            LandingError: Other writers won every attempt.
        """
        for _ in range(ATTEMPTS):
            repairs = begin()
            if self._open() is None:
                return repairs
            if dry_run:
                for _, rows in self._files(self._reopen(), scope):
                    repairs.of(rows)
                return repairs
            table = self._writable()
            written = DataFiles(self.store, TABLES[self.kind])
            try:
                removed = self._replace(table, scope, repairs, written)
            except BaseException:
                written.discard()
                raise
            if not removed:
                return repairs
            if self._commit(table, [*removed, *written.added], [self._next_layout(table)]):
                return repairs
            mine = {action.path for action in written.added}
            if mine <= set(live_files(self._reopen())["path"]):
                return repairs  # a commit whose answer was lost conflicts with itself
        raise self._contended()

    def _files(
        self, table: DeltaTable, scope: Scope
    ) -> Iterator[tuple[dict[str, object], pl.DataFrame]]:
        """Yield the files of a scope and their rows, of the landing schema."""
        for file in scope.of(live_files(table)).iter_rows(named=True):
            rows = pl.read_parquet(
                f"{self.uri}/{file['path']}", glob=False, hive_partitioning=False
            )
            # a file of an older contract lacks columns
            known = rows.with_columns(
                pl.lit(None, kind).alias(name)
                for name, kind in self._schema.items()
                if name not in rows.columns
            ).with_columns(
                date=pl.lit(file["partition.date"]), tenant=pl.lit(file["partition.tenant"])
            )
            yield file, known.select(self._schema.names())

    def _replace(
        self, table: DeltaTable, scope: Scope, repairs: Repairs, written: DataFiles
    ) -> list[RemoveAction]:
        """Write what stays and what is new; return the files that leave."""
        revision = self._next_layout(table).version
        removed: list[RemoveAction] = []
        new: list[pl.DataFrame] = []
        size = 0
        for file, rows in self._files(table, scope):
            found = repairs.of(rows)
            if not found.at.len():
                continue
            self._check_rows(found.rows)
            kept = rows.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(found.at.implode()))
            if kept.height:
                written.write(kept)
            removed.append(remove_action(file, data_change=True))
            new.append(found.rows.with_columns(revision=pl.lit(revision, pl.Int64)))
            size += int(found.rows.estimated_size())
            if size >= min(self.buffer_bytes, BUFFER_BYTES):
                written.write(pl.concat(new))
                new, size = [], 0
        if new:
            written.write(pl.concat(new))
        return removed
