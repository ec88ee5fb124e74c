"""Removal of rows from a landing table for good: from what it says now, and from what it said before.

The log names nobody: its statistics are of batches and positions, and the commit that removes rows says
which files it replaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys_pipeline.storage.delta_files import (
    STAGED,
    DataFiles,
    live_files,
    milliseconds,
    remove_action,
)
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.landing_log import committed_at, read_commit
from recsys_pipeline.storage.landing_snapshot import TABLES
from recsys_pipeline.storage.landing_table import ATTEMPTS
from recsys_pipeline.storage.landing_vacuum import DATA_FILE, delete_all, removed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import date

    from deltalake import DeltaTable


SEEN = ["user_id", "item_id", "raw"]


@dataclass(frozen=True)
class Removal:
    """What was removed for good.

    Attributes:
        rows: Rows that left the table.
        files: Files that they were in, written anew without them.
        deleted: Files of earlier versions and of lost commits that had such rows, deleted.
        waiting: Files that had such rows, and that a commit under way may yet name.
        looked_at: Files of the table that were read.
    """

    rows: int = 0
    files: int = 0
    deleted: int = 0
    waiting: int = 0
    looked_at: int = 0


class ErasableLanding(Landing):
    """A landing table from which rows can be removed for good."""

    def remove(
        self, tenants: Collection[str], are_gone: Callable[[pl.DataFrame], pl.Series]
    ) -> Removal:
        """Remove rows in one transaction, then every file without a part in the table that has such.

        A run that has pinned an earlier version fails; its re-run reads the latest. A file that no commit
        names may still be committed by its writer, for a day (`DataFiles.require_recent`): until then it is
        left, and counted as waiting.

        Args:
            tenants: Whose files are read.
            are_gone: Says of each row, given the columns `SEEN`, whether it goes.

        Raises:
            LandingError: Other writers won every attempt.
        """
        for _ in range(ATTEMPTS):
            table = self._open()
            if table is None:
                return Removal()
            rewritten = DataFiles(self.store, TABLES[self.kind])
            looked_at = self._files_of(table, tenants).height
            found = self._without(table, tenants, are_gone, rewritten)
            if found is None:
                continue
            rows, removed = found
            if not removed:
                break
            if self._commit(table, [*removed, *rewritten.added], [self._next_layout(table)]):
                break
        else:
            raise self._contended()
        deleted, waiting = self._delete_others(tenants, are_gone)
        return Removal(rows, len(removed), deleted, waiting, looked_at)

    def _files_of(self, table: DeltaTable, tenants: Collection[str]) -> pl.DataFrame:
        return live_files(table).filter(pl.col("partition.tenant").is_in(sorted(tenants)))

    def forget(self, tenant: str, before: date) -> Removal:
        """Take a tenant's days out of the table in one transaction; their files go with the upkeep.

        Args:
            tenant: The tenant.
            before: The first day that stays.

        Raises:
            LandingError: Other writers won every attempt.
        """
        for _ in range(ATTEMPTS):
            table = self._open()
            if table is None:
                return Removal()
            files = self._files_of(table, [tenant]).filter(pl.col("partition.date") < before)
            removed = [
                remove_action(file, data_change=True) for file in files.iter_rows(named=True)
            ]
            if not removed or self._commit(table, removed, [self._next_layout(table)]):
                rows = int(files["num_records"].fill_null(0).sum())
                return Removal(rows, len(removed))
        raise self._contended()

    def _without(
        self,
        table: DeltaTable,
        tenants: Collection[str],
        are_gone: Callable[[pl.DataFrame], pl.Series],
        rewritten: DataFiles,
    ) -> tuple[int, list[Any]] | None:
        """Write the rows that stay anew; return how many go, and the files that leave the table.

        None where another removal has deleted a file since the table was read.
        """
        count = 0
        actions: list[Any] = []
        for file in self._files_of(table, tenants).iter_rows(named=True):
            seen = self._rows(file["path"], SEEN)
            gone = None if seen is None else are_gone(seen)
            rows = self._rows(file["path"]) if gone is not None and gone.any() else seen
            if gone is None or rows is None:
                return None
            if gone.any():
                count += int(gone.sum())
                kept = rows.filter(~gone)
                if kept.height:
                    day, tenant = file["partition.date"], file["partition.tenant"]
                    rewritten.write(kept.with_columns(date=pl.lit(day), tenant=pl.lit(tenant)))
                actions.append(remove_action(file, data_change=True))
        return count, actions

    def _delete_others(
        self, tenants: Collection[str], are_gone: Callable[[pl.DataFrame], pl.Series]
    ) -> tuple[int, int]:
        """Delete files that are not live and have such rows; return how many, and how many must wait."""
        latest = self._reopen()
        live = set(live_files(latest)["path"])
        folder = f"{TABLES[self.kind]}/"
        until = milliseconds() - int(STAGED.total_seconds() * 1_000)
        old: list[str] = []
        young: list[str] = []
        for path in (found.removeprefix(folder) for found in self.store.list(folder)):
            name = DATA_FILE.fullmatch(path)
            if name is None or path in live or name["tenant"] not in tenants:
                continue
            rows = self._rows(path, SEEN)
            if rows is not None and are_gone(rows).any():
                (old if int(name["at"]) < until else young).append(path)
        if young:
            once = set(self._removed_since(latest.version(), until))
            old += [path for path in young if path in once]
        delete_all(self.store, [f"{folder}{path}" for path in old])
        return len(old), len({*young} - {*old})

    def _removed_since(self, latest: int, until: int) -> Iterator[str]:
        """Yield the files that commits have removed from a time (in milliseconds) on."""
        for version in range(latest, -1, -1):
            commit = read_commit(self.store, TABLES[self.kind], version)
            if commit is None:
                return
            yield from removed_by(commit)
            if (committed_at(commit) or until) < until:
                return

    def _rows(self, path: str, columns: list[str] | None = None) -> pl.DataFrame | None:
        """Read a file of the table; None where another removal, or the upkeep, has deleted it."""
        try:
            uri = f"{self.uri}/{path}"
            return pl.read_parquet(uri, columns=columns, glob=False, hive_partitioning=False)
        except (FileNotFoundError, pl.exceptions.ComputeError):
            if self.store.identity(f"{TABLES[self.kind]}/{path}") is not None:
                raise
            return None
