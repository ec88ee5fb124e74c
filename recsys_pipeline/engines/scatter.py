"""Rows scattered to shards through temporary files, so that no more than a shard is in memory.

Rows are gathered into runs; a run is one file with a record batch for each shard, in order. A shard is
then the batches of its number out of all files.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from pathlib import Path

    from recsys_pipeline.engines.workspace import Workspace
    from recsys_pipeline.transforms.arrays import Ints

# rows in memory before a run is written
RUN_ROWS = 500_000


class Scatter:
    """The rows of one split, on their way to its shards.

    Args:
        workspace: Where the files are.
        shards: Number of shards.
    """

    def __init__(self, workspace: Workspace, shards: int) -> None:
        self.shards = shards
        self.rows = np.zeros(shards, np.int64)
        self._workspace = workspace
        self._runs: list[Path] = []
        self._pending: list[tuple[pl.DataFrame, Ints]] = []
        self._pending_rows = 0
        self._schema: pl.Schema | None = None

    def add(self, rows: pl.DataFrame, shard: Ints) -> None:
        """Take up rows and the shard of each."""
        self._schema = rows.schema
        self.rows += np.bincount(shard, minlength=self.shards)
        self._pending.append((rows, shard))
        self._pending_rows += rows.height
        if self._pending_rows >= RUN_ROWS:
            self._write()

    def take(self, number: int) -> pl.DataFrame:
        """Return the rows of a shard, in no order; call it after the last `add`.

        Raises:
            ValueError: No frame was ever added, so that columns are not known.
        """
        if self._schema is None:
            raise ValueError("nothing was scattered")
        self._write()
        parts = []
        for path in self._runs:
            with pa.memory_map(str(path)) as file:
                parts.append(pa.ipc.open_file(file).get_batch(number))
        frame = pl.DataFrame(pa.Table.from_batches(parts)) if parts else pl.DataFrame()
        return frame.cast(self._schema) if parts else pl.DataFrame(schema=self._schema)

    def close(self) -> None:
        """Remove the files."""
        for path in self._runs:
            self._workspace.remove(path)
        self._runs = []

    def _write(self) -> None:
        if not self._pending:
            return
        shard = np.concatenate([numbers for _, numbers in self._pending])
        order = np.argsort(shard, kind="stable")
        rows = pl.concat([frame for frame, _ in self._pending])[order]
        self._pending, self._pending_rows = [], 0
        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
        ends = np.searchsorted(shard[order], np.arange(self.shards + 1))
        path = self._workspace.path()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, table.schema, options=options) as writer,
        ):
            batch = (
                table.to_batches()[0]
                if table.num_rows
                else pa.RecordBatch.from_pylist([], table.schema)
            )
            for begin, end in pairwise(ends):
                writer.write_batch(batch.slice(begin, end - begin))
        self._runs.append(path)
