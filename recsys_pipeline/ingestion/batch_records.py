"""Batch records: one JSON object per batch under `_meta/batches/<kind>/<tenant>/`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime  # noqa: TC003  # pydantic reads them at run time
from typing import TYPE_CHECKING

import polars as pl
from pydantic import TypeAdapter

from recsys_pipeline.errors import LandingError
from recsys_pipeline.storage.landing import TABLES, Kind, Landing
from recsys_pipeline.storage.layout import META

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RECORDS = f"{META}/batches"


@dataclass(frozen=True)
class Counts:
    """What became of a batch's rows.

    Attributes:
        read: Rows read from the source.
        landed: Rows landed, unreadable ones included.
        unreadable: Rows with something unreadable, by reason code.
        parked: Rows whose day is unknown.
        before_start: Rows of a day before the start date; they land, and show once it is lowered.
        first_day: Earliest day touched.
        last_day: Latest day touched.
        days: Number of days touched.
    """

    read: int = 0
    landed: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)
    parked: int = 0
    before_start: int = 0
    first_day: date | None = None
    last_day: date | None = None
    days: int = 0


@dataclass(frozen=True)
class Batch:
    """One landing of one source.

    Attributes:
        batch_id: The key's first 16 digits and the sequence.
        kind: Table that it lands in.
        tenant: Owner of the rows.
        source: Where the rows came from, e.g. `file:events.csv`.
        key: Idempotency key, see `implicit_key`.
        sequence: 1 for the first landing under the key, more after a retraction or expiry.
        mapping: Name of the mapping; None when the columns needed none.
        received_at: Time of receipt, UTC.
        replaces: Batch that this one takes the place of.
        counts: None until the rows are committed.
    """

    batch_id: str
    kind: Kind
    tenant: str
    source: str
    key: str
    sequence: int
    mapping: str | None
    received_at: datetime
    replaces: str | None = None
    counts: Counts | None = None


_RECORD = TypeAdapter(Batch)


class Tally:
    """Counts rows while they pass."""

    def __init__(self, start_date: date) -> None:
        self._start_date = start_date
        self._rows = self._parked = self._before = 0
        self._problems: Counter[str] = Counter()
        self._days: set[date] = set()

    def watch(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Pass frames on, counting their rows."""
        for frame in frames:
            self.add(frame)
            yield frame

    def add(self, frame: pl.DataFrame) -> None:
        """Count the rows of a frame of `date`, `parked` and `problem`."""
        self._rows += frame.height
        self._parked += int(frame["parked"].sum())
        early = (pl.col("date") < self._start_date) & ~pl.col("parked")
        self._before += int(frame.select(early.sum()).item())
        problems = frame["problem"].drop_nulls().value_counts()
        self._problems.update(dict(problems.iter_rows()))
        self._days.update(frame["date"].unique())

    def counts(self) -> Counts:
        """Return what has been counted."""
        return Counts(
            read=self._rows,
            landed=self._rows,
            unreadable=dict(sorted(self._problems.items())),
            parked=self._parked,
            before_start=self._before,
            first_day=min(self._days, default=None),
            last_day=max(self._days, default=None),
            days=len(self._days),
        )


def batch_id_of(key: str, sequence: int) -> str:
    """Return the id of the batch that lands under a key as its n-th."""
    return f"{key[:16]}-{sequence}"


def record_path(kind: Kind, tenant: str, batch_id: str) -> str:
    """Return the path of a batch's record."""
    return f"{RECORDS}/{kind}/{tenant}/{batch_id}.json"


def save_record(landing: Landing, batch: Batch) -> None:
    """Write a batch's record, replacing what was there."""
    path = record_path(batch.kind, batch.tenant, batch.batch_id)
    landing.store.write(path, _RECORD.dump_json(batch, indent=2))


def load_record(landing: Landing, path: str) -> Batch | None:
    """Read a record, or None where there is none."""
    data = landing.store.read(path)
    return None if data is None else _RECORD.validate_json(data)


def records(landing: Landing, tenant: str | None) -> list[Batch]:
    """Read every record of a kind, of one tenant or all, in no particular order."""
    folder = f"{RECORDS}/{landing.kind}/" + ("" if tenant is None else f"{tenant}/")
    read = (
        load_record(landing, path) for path in landing.store.list(folder) if path.endswith(".json")
    )
    return [batch for batch in read if batch is not None]


def find_record(root: str, batch_id: str) -> tuple[Landing, Batch]:
    """Find a batch by its id alone.

    Raises:
        LandingError: There is no batch of that id.
    """
    for kind in TABLES:
        landing = Landing(root, kind)
        for path in landing.store.list(f"{RECORDS}/{kind}/"):
            if path.rpartition("/")[2] == f"{batch_id}.json":
                batch = load_record(landing, path)
                if batch is not None:
                    return landing, batch
    raise LandingError(
        f"batch {batch_id}", "does not exist", "See the ids with: recsys batches list"
    )
