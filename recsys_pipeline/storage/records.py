"""What is recorded of each publication: one JSON object per (asset, day), an entry per tenant.

A record tells from which inputs the data was made, so that a re-run knows what is current, and
the identity of the file that it describes. A file that is not the recorded one (replaced by a
killed run, edited, deleted) makes its record void: the next run writes both anew.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from recsys_pipeline.storage.layout import record_file, records_prefix
from recsys_pipeline.storage.objects import Identity

if TYPE_CHECKING:
    from collections.abc import Collection

    from recsys_pipeline.storage.objects import ObjectStore

Partition = tuple[date, str]

READERS = 16  # a read from S3 is nearly all waiting


@dataclass(frozen=True)
class Pin:
    """The landing versions that a run reads."""

    interactions: int
    items: int

    def older_than(self, other: Pin) -> bool:
        """Return whether the other pin has seen a landing that this one has not."""
        return self.interactions < other.interactions or self.items < other.items

    def joined(self, other: Pin) -> Pin:
        """Return the newer version of each table."""
        return Pin(max(self.interactions, other.interactions), max(self.items, other.items))


@dataclass(frozen=True)
class Record:
    """What is published for one (asset, day, tenant).

    Attributes:
        inputs: Hash of all that the content depends on.
        pin: Landing versions at which `inputs` was computed.
        rows: Rows in the file; 0 when there is none.
        file: Identity of the file, or None when the tenant has no rows.
        content: Hash of the file's bytes: the data version.
        held: The day is over its quarantine limit; `file` is what was published before.
        published_inputs: The inputs of `file`; differs from `inputs` only when held.
        counts: Further row counts of the step, e.g. by outcome and reason.
        published_at: ISO 8601 UTC time of the publication.
        seconds: What the publication took of its step, from the one before it in the same run until its
            files were in place; the tenants of a day share it evenly.
    """

    inputs: str
    pin: Pin
    rows: int
    file: Identity | None
    content: str
    published_inputs: str | None
    published_at: str
    held: bool = False
    counts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def bytes(self) -> int:
        """Return the file's size in bytes."""
        return self.file.size if self.file else 0


def _decode(entry: dict[str, Any]) -> Record:
    file = entry.pop("file")
    return Record(**{**entry, "pin": Pin(**entry["pin"])}, file=Identity(**file) if file else None)


class Records:
    """Reads and writes the records of a store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def day(self, asset: str, day: date) -> dict[str, Record] | None:
        """Return the records of a day by tenant, or None if it was never published."""
        data = self._store.read(record_file(asset, day))
        if data is None:
            return None
        try:
            entries = json.loads(data)
        except ValueError:
            return None  # torn by a power failure: the day counts as never published
        return {tenant: _decode(entry) for tenant, entry in entries.items()}

    def many(self, asset: str, days: Collection[date]) -> dict[date, dict[str, Record] | None]:
        """Return what `day` returns for each of many days, reading several at once."""
        wanted = list(dict.fromkeys(days))
        with ThreadPoolExecutor(READERS) as pool:
            return dict(
                zip(wanted, pool.map(lambda day: self.day(asset, day), wanted), strict=True)
            )

    def days(self, asset: str, days: Collection[date]) -> dict[Partition, Record]:
        """Return the records of many days."""
        return {
            (day, tenant): record
            for day, entries in self.many(asset, days).items()
            for tenant, record in (entries or {}).items()
        }

    def published_days(self, asset: str) -> set[date]:
        """Return every day that has a record, empty ones included."""
        return {
            date.fromisoformat(path.rsplit("/", 1)[-1].removesuffix(".json"))
            for path in self._store.list(records_prefix(asset))
        }

    def write(self, asset: str, day: date, entries: dict[str, Record]) -> None:
        """Replace the records of a day; the caller holds its lock."""
        encoded = {tenant: asdict(entries[tenant]) for tenant in sorted(entries)}
        # all of it can be made again from the landing: not worth a sync
        self._store.write(record_file(asset, day), json.dumps(encoded).encode(), durable=False)
