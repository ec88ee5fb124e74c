"""Injects bad rows between the good ones and writes the key: what was injected, and where."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

import numpy as np

from recsys_pipeline.generator.faults import Fault, Table, faults, open_quote
from recsys_pipeline.generator.writers import Insert, Row
from recsys_pipeline.schemas.quarantine import DUPLICATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    import polars as pl

    from recsys_pipeline.generator.config import GeneratorConfig

# of a block's good rows, so that no day comes near the share at which it is held
_BLOCK_SHARE = 10
_STREAM = 5
_TABLES: tuple[Table, ...] = ("interactions", "items")


class Injector:
    """Plans the injected rows of one file.

    Rows are added: the good rows are those of the same configuration without `dirty`. Kinds take
    turns, so each is there once the file has as many injected rows as there are kinds.

    Args:
        config: Its `dirty` is the share of injected rows in the file.
        table: Which file.
        key: Text stream of the key file: one JSON object per injected row, in order, with `file`,
            `position` (line, from 1, the header counted; row number, from 1, for Parquet),
            `kind`, `outcome`, `reason`, `day` (ISO date; "parked"; null for items, whose day
            ingestion decides) and `repeats` (position of the row that a duplicate repeats).
        fresh_id: Column and name of the n-th unused id, so that a rejected row repeats none.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        table: Table,
        key: IO[str],
        fresh_id: tuple[str, Callable[[int], str]] | None,
    ) -> None:
        self.injected = 0
        self._key = key
        self._file = config.file_name(table)
        self._fresh_id = fresh_id
        self._per_good_row = config.dirty / (1 - config.dirty)
        self._rng = np.random.default_rng([config.seed, _STREAM, _TABLES.index(table)])
        kinds = faults(table, config)
        self._kinds = [kinds[i] for i in self._rng.permutation(len(kinds))]
        self._last_line = open_quote(table, config)
        self._good = 0
        self._rows = 1 if config.file_format == "csv" else 0

    def plan(self, frame: pl.DataFrame, day: date | None, *, last: bool) -> list[Insert]:
        """Return what to insert into a block of good rows.

        Args:
            frame: Good rows, all of one day.
            day: That day, or None where the file doesn't say.
            last: Whether the file ends with this block.
        """
        n = frame.height
        self._good += n
        due = int(self._per_good_row * self._good) - self.injected
        turns = [
            self._kinds[(self.injected + i) % len(self._kinds)]
            for i in range(max(0, min(due, n // _BLOCK_SHARE)))
        ]
        donors = self._rng.choice(n, len(turns), replace=False)
        places = [
            # a repeat comes after the row that it repeats
            int(self._rng.integers(donor + 1 if fault.reason == DUPLICATE else 0, n + 1))
            for fault, donor in zip(turns, donors.tolist(), strict=True)
        ]
        planned = sorted(
            zip(places, donors.tolist(), turns, strict=True), key=lambda plan: plan[:2]
        )
        if last and self._last_line is not None:
            planned.append((n, n - 1, self._last_line))
        rows = frame[[donor for _, donor, _ in planned]].to_dicts()
        before = np.array([place for place, _, _ in planned], np.int64)
        inserts = []
        for i, ((place, donor, fault), row) in enumerate(zip(planned, rows, strict=True)):
            inserts.append(Insert(place, self._spoil(fault, row)))
            repeats = self._rows + donor + int(np.searchsorted(before, donor, "right")) + 1
            self._note(
                fault,
                position=self._rows + place + i + 1,
                day=day,
                repeats=repeats if fault.reason == DUPLICATE else None,
            )
        self._rows += n + len(inserts)
        return inserts

    def _spoil(self, fault: Fault, row: Row) -> Row | bytes:
        if fault.reason != DUPLICATE and self._fresh_id is not None:
            column, name = self._fresh_id
            row[column] = name(self.injected)
        self.injected += 1
        return fault.edit(row, self._rng)

    def _note(self, fault: Fault, position: int, day: date | None, repeats: int | None) -> None:
        where = "parked" if fault.parked else day.isoformat() if day else None
        entry = {
            "file": self._file,
            "position": position,
            "kind": fault.kind,
            "outcome": fault.outcome,
            "reason": fault.reason,
            "day": where,
        }
        if repeats is not None:
            entry["repeats"] = repeats
        self._key.write(json.dumps(entry, separators=(",", ":")) + "\n")
