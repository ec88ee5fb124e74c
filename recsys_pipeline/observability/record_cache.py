"""The records of a store in memory; only what has changed since the last look is read.

A store of 5,000 days has 35,000 records. One listing tells which of them are other objects than
before.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from recsys_pipeline.storage.layout import PUBLISHED
from recsys_pipeline.storage.records import READERS, Record, Records

if TYPE_CHECKING:
    from collections.abc import Collection

    from recsys_pipeline.storage.objects import Identity, ObjectStore


@dataclass(frozen=True)
class Change:
    """Records of an asset's day that are others than before; None where there are none."""

    asset: str
    day: date
    before: dict[str, Record] | None
    now: dict[str, Record] | None


class CachedRecords(Records):
    """Records as of the last `refresh`."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store)
        self._objects = store
        self._listed: dict[str, Identity] = {}
        self._days: dict[str, dict[date, dict[str, Record] | None]] = {}

    def refresh(self) -> list[Change]:
        """Read what has changed; return it. Nothing is kept of a pass that fails."""
        listed = self._objects.list(PUBLISHED)
        changed = [path for path, found in listed.items() if self._listed.get(path) != found]
        gone = [path for path in self._listed if path not in listed]
        with ThreadPoolExecutor(READERS) as pool:
            # what replaces a record between the listing and its read is read again by the next pass
            read = list(pool.map(lambda path: super(CachedRecords, self).day(*_of(path)), changed))
        changes = []
        for path, now in [*zip(changed, read, strict=True), *((path, None) for path in gone)]:
            asset, day = _of(path)
            days = self._days.setdefault(asset, {})
            changes.append(Change(asset, day, days.get(day), now))
            if path in listed:
                days[day] = now
            else:
                del days[day]
        self._listed = listed
        return changes

    def day(self, asset: str, day: date) -> dict[str, Record] | None:
        """Return the records of a day by tenant, or None if it was never published."""
        return self._days.get(asset, {}).get(day)

    def many(self, asset: str, days: Collection[date]) -> dict[date, dict[str, Record] | None]:
        """Return what `day` returns for each of many days."""
        return {day: self.day(asset, day) for day in days}

    def published_days(self, asset: str) -> set[date]:
        """Return every day that has a record, empty ones included."""
        return set(self._days.get(asset, {}))

    def assets(self) -> list[str]:
        """Return the assets that have records, in order."""
        return sorted(asset for asset, days in self._days.items() if days)


def _of(path: str) -> tuple[str, date]:
    """Return asset and day of a record's path."""
    asset, _, name = path.removeprefix(PUBLISHED).split("/")
    return asset, date.fromisoformat(name.removesuffix(".json"))
