"""The pipeline's tables as one run sees them: a pinned landing, and what is published of it.

Output is a function of landing and settings alone. So a step never trusts a published partition
by name: it uses one whose record carries exactly the inputs that the pinned landing gives, and
otherwise computes the same rows from the landing, in memory. Any order of runs is right.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.engines.acceptance import accepted_shares
from recsys_pipeline.errors import StaleInputError
from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.storage.landing import Kind, LandedContent, Landing, LandingSnapshot
from recsys_pipeline.storage.layout import data_file
from recsys_pipeline.storage.records import Partition, Pin, Record
from recsys_pipeline.tenants import TenantConfig, tenant_config
from recsys_pipeline.transforms.validation import Split, split

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import Identity
    from recsys_pipeline.storage.parquet_store import ParquetStore

VALIDATED = {"interactions": "validated_interactions", "items": "validated_items"}
QUARANTINED = {"interactions": "quarantined_interactions", "items": "quarantined_items"}
CONTRACTS = {"interactions": Interaction, "items": Item}

# raise one of these when the rows that a step makes from the same inputs change
CODE_VERSIONS = {
    "raw_interactions": "1",
    "raw_items": "1",
    "validated_interactions": "1",
    "quarantined_interactions": "1",
    "validated_items": "1",
    "quarantined_items": "1",
    "user_features": "1",
    "item_features": "1",
    "training_samples": "1",
}


def digest(*parts: object) -> str:
    """Hash the text of some values; stable between processes and versions."""
    joined = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Effective:
    """What later steps see of one validated (day, tenant).

    Attributes:
        inputs: Identity of the rows seen; None when nothing is (held, never published).
        published: The rows are read from the published file, else split from the landing.
        held: The day is over its tenant's quarantine limit.
        has_rows: False when there is nothing to read.
    """

    inputs: str | None
    published: bool
    held: bool
    has_rows: bool = True


class View:
    """Reads for one run.

    Args:
        settings: The settings.
        store: The published tables.
        pin: Landing versions to read; None pins the latest.
        tenants: Restrict everything to these tenants; None means all.
    """

    def __init__(
        self,
        settings: Settings,
        store: ParquetStore,
        pin: Pin | None = None,
        tenants: Collection[str] | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.tenants = frozenset(tenants) if tenants else None
        self.snapshots: dict[str, LandingSnapshot] = {
            "interactions": Landing(settings.storage_root, "interactions").snapshot(
                pin.interactions if pin else None
            ),
            "items": Landing(settings.storage_root, "items").snapshot(pin.items if pin else None),
        }
        self.pin = Pin(self.snapshots["interactions"].version, self.snapshots["items"].version)
        self._landed: dict[str, dict[Partition, LandedContent]] = {}
        self._records: dict[str, dict[date, dict[str, Record]]] = {}
        self._identities: dict[str, dict[str, Identity]] = {}
        self._effective: dict[str, dict[Partition, Effective]] = {"interactions": {}, "items": {}}
        self._configs: dict[str, TenantConfig] = {}

    def config(self, tenant: str) -> TenantConfig:
        """Return a tenant's configuration."""
        if tenant not in self._configs:
            self._configs[tenant] = tenant_config(self.settings, tenant)
        return self._configs[tenant]

    def landed(self, kind: Kind) -> dict[Partition, LandedContent]:
        """Return every landed (day, tenant) of this view with its content's identity."""
        if kind not in self._landed:
            self._landed[kind] = self.snapshots[kind].content(self.tenants)
        return self._landed[kind]

    def landed_days(self, kind: Kind) -> list[date]:
        """Return the days with landed rows from the start date on, in order."""
        start = self.settings.start_date
        return sorted({day for day, _ in self.landed(kind) if day >= start})

    def records(self, asset: str, day: date) -> dict[str, Record]:
        """Return what is recorded of an asset's day, read once per view."""
        return self._day_records(asset).get(day, {})

    def is_published(self, asset: str, day: date) -> bool:
        """Return whether the day was ever published, if only as an empty one."""
        return day in self._day_records(asset)

    def published_days(self, asset: str) -> list[date]:
        """Return the days of an asset that were ever published, in order."""
        return sorted(self._day_records(asset))

    def _day_records(self, asset: str) -> dict[date, dict[str, Record]]:
        if asset not in self._records:
            published = self.store.records.published_days(asset)
            self._records[asset] = {
                day: self.store.records.day(asset, day) or {} for day in published
            }
            self._identities[asset] = self.store.objects.list(f"{asset}/")
        return self._records[asset]

    def intact(self, asset: str, partition: Partition) -> Record | None:
        """Return the record of a partition if its file is the one recorded."""
        record = self.records(asset, partition[0]).get(partition[1])
        if record is None:
            return None
        found = self._identities[asset].get(data_file(asset, *partition))
        return record if found == record.file else None

    def note(self, asset: str, day: date, made: dict[str, Record]) -> None:
        """Take up what this run has just published."""
        days = self._day_records(asset)
        days[day] = days.get(day, {}) | made
        for tenant, record in made.items():
            path = data_file(asset, day, tenant)
            if record.file:
                self._identities[asset][path] = record.file
            else:
                self._identities[asset].pop(path, None)
        for kind, name in VALIDATED.items():
            if name == asset:
                for tenant in made:
                    self._effective[kind].pop((day, tenant), None)

    def confirm(self, asset: str, partitions: Iterable[Partition]) -> None:
        """Check after a computation that what it read has not been replaced meanwhile.

        Raises:
            StaleInputError: Another run has published one of the partitions.
        """
        found = self.store.objects.list(f"{asset}/")
        for partition in partitions:
            record = self.records(asset, partition[0]).get(partition[1])
            if record and found.get(data_file(asset, *partition)) != record.file:
                raise StaleInputError(
                    f"{asset} {partition[0]} {partition[1]}",
                    "was published by another run while this one read it",
                    "Run it again",
                )

    # what validated rows depend on

    @cached_property
    def _accepted(self) -> dict[tuple[str, date, str], float]:
        return accepted_shares(self.store.objects)

    def quarantine_limit(self, kind: Kind, partition: Partition) -> float:
        """Return the share of rejected rows above which the partition is held."""
        limit = self.config(partition[1]).quarantine_limit
        return max(limit, self._accepted.get((VALIDATED[kind], *partition), 0.0))

    def rows_inputs(self, kind: Kind, partition: Partition) -> str:
        """Return the hash of all that the valid rows of a (day, tenant) depend on."""
        landed = self.landed(kind).get(partition)
        return digest(
            CODE_VERSIONS[VALIDATED[kind]],
            landed.content if landed else "",
            self.config(partition[1]).categories if kind == "items" else None,
        )

    def validated_inputs(self, kind: Kind, partition: Partition) -> str:
        """Return the hash of all that a validated (day, tenant) depends on, its limit included."""
        limit = self.quarantine_limit(kind, partition)
        return digest(self.rows_inputs(kind, partition), limit, self.settings.quarantine_min_rows)

    def split(self, kind: Kind, partitions: Collection[Partition]) -> Split:
        """Split the landed rows of some partitions."""
        days = {day for day, _ in partitions}
        names = {tenant for _, tenant in partitions}
        landed = self.snapshots[kind].scan(days, names)
        wanted = pl.LazyFrame(
            {"date": [p[0] for p in partitions], "tenant": [p[1] for p in partitions]},
            schema={"date": pl.Date, "tenant": pl.String},
        )
        rows = landed.join(wanted, on=["date", "tenant"], how="semi").collect()
        listed = {n: c for n in names if (c := self.config(n).categories) is not None}
        return split(rows, kind, listed if kind == "items" else None)

    def is_held(self, kind: Kind, partition: Partition, counts: dict[str, int]) -> bool:
        """Apply the quarantine limit to a partition's counts; parked rows count in no day."""
        rows = counts["landed"] - counts["parked"]
        rejected = counts["rejected"] - counts["parked"]
        if rows < max(self.settings.quarantine_min_rows, 1):
            return False
        return rejected / rows > self.quarantine_limit(kind, partition)

    def effective(self, kind: Kind, until: date) -> dict[Partition, Effective]:
        """Resolve what later steps see of every validated (day, tenant) up to a day.

        Events before the start date are not seen; item versions are, whenever they are from.
        """
        start = self.settings.start_date if kind == "interactions" else date.min
        wanted = [p for p in self.landed(kind) if start <= p[0] <= until]
        known = self._effective[kind]
        unknown: list[Partition] = []
        for partition in wanted:
            if partition in known:
                continue
            record = self.intact(VALIDATED[kind], partition)
            if record and record.inputs == self.validated_inputs(kind, partition):
                known[partition] = _from_record(record)
            else:
                unknown.append(partition)
        if unknown:
            for counts in self.split(kind, unknown).counts.iter_rows(named=True):
                partition = (counts["date"], counts["tenant"])
                if not self.is_held(kind, partition, counts):
                    inputs = self.rows_inputs(kind, partition)
                    known[partition] = Effective(
                        inputs, published=False, held=False, has_rows=counts["valid"] > 0
                    )
                    continue
                record = self.intact(VALIDATED[kind], partition)
                known[partition] = (
                    _from_record(record, held=True)
                    if record and record.published_inputs
                    else Effective(None, published=False, held=True, has_rows=False)
                )
        return {p: known[p] for p in wanted}

    def valid(self, kind: Kind, partitions: Collection[Partition]) -> pl.LazyFrame:
        """Return the validated rows that later steps see of some partitions."""
        schema = frame_schema(CONTRACTS[kind])
        until = max((day for day, _ in partitions), default=date.min)
        seen = self.effective(kind, until)
        rows = [p for p in partitions if p in seen and seen[p].has_rows]
        published = [p for p in rows if seen[p].published]
        in_memory = [p for p in rows if not seen[p].published]
        frames = [self.store.scan(VALIDATED[kind], published, schema)]
        if in_memory:
            frames.append(self.split(kind, in_memory).valid.lazy())
        return pl.concat(frames)

    def chains(self, kind: Kind, until: date) -> Chains:
        """Return the running hash of everything that each tenant's days hold."""
        chains = Chains({})
        for (day, tenant), seen in sorted(self.effective(kind, until).items()):
            if seen.inputs is not None:
                days, hashes = chains.by_tenant.setdefault(tenant, ([], []))
                days.append(day)
                hashes.append(digest(hashes[-1] if len(hashes) else "", day, seen.inputs))
        return chains


@dataclass(frozen=True)
class Chains:
    """Running hashes by tenant: days in order, and the hash of all content up to each."""

    by_tenant: dict[str, tuple[list[date], list[str]]]

    def until(self, tenant: str, day: date) -> str:
        """Return the hash of a tenant's content up to a day (inclusive)."""
        days, hashes = self.by_tenant.get(tenant, ([], []))
        index = bisect_right(days, day)
        return hashes[index - 1] if index else ""


def _from_record(record: Record, *, held: bool | None = None) -> Effective:
    return Effective(
        record.published_inputs,
        published=True,
        held=record.held if held is None else held,
        has_rows=record.file is not None,
    )
