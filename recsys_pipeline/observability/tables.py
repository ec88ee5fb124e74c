"""Measures of landing and tables: rows, bytes, what is pending or held, what was published when."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from recsys_pipeline.engines.pending import standings
from recsys_pipeline.engines.view import VALIDATED, View
from recsys_pipeline.observability.families import (
    JUDGED_ROWS,
    LAST_PUBLICATION,
    NEWEST_DAY,
    OLDEST_PENDING_DAY,
    PARTITIONS,
    PUBLICATIONS,
    PUBLISHED_ROWS,
    QUARANTINE_RATIO,
    STEP_SECONDS,
    STORED_BYTES,
    STORED_ROWS,
    Measures,
    add,
    lower_to,
    raise_to,
)
from recsys_pipeline.observability.record_cache import CachedRecords
from recsys_pipeline.storage.landing_snapshot import TABLES
from recsys_pipeline.storage.layout import ACCEPTED
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ParquetStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys_pipeline.observability.record_cache import Change
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.records import Record

RECENT_DAYS = 7
# a data file that was deleted or edited by hand changes no record: it is looked for this often
WHOLE_LOOK_SECONDS = 3600.0


class Tables:
    """Measures the tables of a store; a look at an unchanged one costs a listing of its records."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = ParquetStore(open_store(settings.storage_root))
        self._records = CachedRecords(self._store.objects)
        self._store.records = self._records
        self._counted: Measures = {PUBLICATIONS: {}, PUBLISHED_ROWS: {}, STEP_SECONDS: {}}
        self._is_first = True
        self._seen: object = None
        self._judged: Measures = {}
        self._judged_at = 0.0

    def measure(self) -> Measures:
        """Return the measures as of now."""
        changes = self._records.refresh()
        if not self._is_first:
            for change in changes:
                self._count(change)
        self._is_first = False
        view = View(self._settings, self._store)
        seen = (view.pin, self._accepted(), self._tenants_file())
        is_due = time.monotonic() - self._judged_at > WHOLE_LOOK_SECONDS
        if changes or is_due or seen != self._seen:
            self._judged = self._judge(view)
            self._seen, self._judged_at = seen, time.monotonic()
        return self._judged | self._counted

    def _count(self, change: Change) -> None:
        """Count what has been published; a record that was replaced twice meanwhile counts once."""
        for tenant, record in (change.now or {}).items():
            old = (change.before or {}).get(tenant)
            if old and (old.published_at, old.seconds) == (record.published_at, record.seconds):
                continue  # another tenant's publication, or an erasure
            add(self._counted, STEP_SECONDS, record.seconds, change.asset)
            if not record.held:
                add(self._counted, PUBLICATIONS, 1, change.asset)
                add(self._counted, PUBLISHED_ROWS, record.rows, change.asset)

    def _accepted(self) -> frozenset[str]:
        return frozenset(self._store.objects.list(ACCEPTED))

    def _tenants_file(self) -> tuple[int, int] | None:
        try:
            found = self._settings.tenants_file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _judge(self, view: View) -> Measures:
        found: Measures = {}
        for kind, table in TABLES.items():
            for tenant, (rows, size) in view.snapshots[kind].sizes_by_tenant().items():
                add(found, STORED_ROWS, rows, table, tenant)
                add(found, STORED_BYTES, size, table, tenant)
            for day, tenant in view.landed(kind):
                raise_to(found, NEWEST_DAY, seconds_of(day), table, tenant)
        for asset in self._records.assets():
            self._of_records(found, asset)
        for standing in standings(view):
            for state in ("current", "stale", "missing", "held"):
                is_it = standing.state == state
                add(found, PARTITIONS, float(is_it), standing.asset, standing.tenant, state)
            if standing.state in {"stale", "missing"}:
                day_start = seconds_of(standing.day)
                lower_to(found, OLDEST_PENDING_DAY, day_start, standing.tenant)
        for asset in VALIDATED.values():
            self._of_quarantine(found, asset)
        return found

    def _of_records(self, found: Measures, asset: str) -> None:
        for day in self._records.published_days(asset):
            for tenant, record in (self._records.day(asset, day) or {}).items():
                add(found, STORED_ROWS, record.rows, asset, tenant)
                add(found, STORED_BYTES, record.bytes, asset, tenant)
                if record.published_inputs is not None:
                    at = datetime.fromisoformat(record.published_at).timestamp()
                    raise_to(found, LAST_PUBLICATION, at, asset, tenant)
                if record.rows:
                    raise_to(found, NEWEST_DAY, seconds_of(day), asset, tenant)

    def _of_quarantine(self, found: Measures, asset: str) -> None:
        recent: dict[str, list[Record]] = {}
        for day in sorted(self._records.published_days(asset), reverse=True):
            for tenant, record in (self._records.day(asset, day) or {}).items():
                counts = record.counts
                for outcome in ("valid", "duplicate", "rejected"):
                    add(found, JUDGED_ROWS, counts.get(outcome, 0), asset, tenant, outcome)
                latest = recent.setdefault(tenant, [])
                if len(latest) < RECENT_DAYS and counts.get("landed"):
                    latest.append(record)
        for tenant, records in recent.items():
            rows = sum(_unparked(record.counts, "landed") for record in records)
            rejected = sum(_unparked(record.counts, "rejected") for record in records)
            if rows:
                add(found, QUARANTINE_RATIO, rejected / rows, asset, tenant)


def _unparked(counts: Mapping[str, int], name: str) -> int:
    return counts.get(name, 0) - counts.get("parked", 0)


def seconds_of(day: date) -> float:
    """Return the start of a day (UTC) in seconds since 1970."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
