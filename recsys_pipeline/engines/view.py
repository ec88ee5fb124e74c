"""The pipeline's tables as one run sees them: a pinned landing, and what is published of it.

Output is a function of landing and settings alone. So a step never trusts a published partition
by name: it uses one whose record carries exactly the inputs that the pinned landing gives, and
otherwise computes the same rows from the landing, in memory. Any order of runs is right.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.engines.acceptance import accepted_shares
from recsys_pipeline.engines.effective import (
    CODE_VERSIONS,
    UNKNOWN,
    Chains,
    Effective,
    digest,
    of_record,
)
from recsys_pipeline.errors import StaleInputError
from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.storage.horizons import EVENTS, Horizons, Seal, read_horizons
from recsys_pipeline.storage.landing import (
    TABLES,
    Kind,
    LandedContent,
    Landing,
    LandingSnapshot,
)
from recsys_pipeline.storage.layout import data_file, data_partition
from recsys_pipeline.storage.records import Partition, Pin, Record
from recsys_pipeline.tenants import UNASSIGNED, TenantConfig, overrides, tenant_config
from recsys_pipeline.transforms.validation import Split, share_counts, split

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import Identity
    from recsys_pipeline.storage.parquet_store import ParquetStore

VALIDATED = {"interactions": "validated_interactions", "items": "validated_items"}
QUARANTINED = {"interactions": "quarantined_interactions", "items": "quarantined_items"}
CONTRACTS = {"interactions": Interaction, "items": Item}
OF_ITEMS = {"raw_items", VALIDATED["items"], QUARANTINED["items"]}

# from here on one listing costs less than asking for each file
MANY_FILES = 64
PART_ROWS = 250_000  # of what is read part by part: some 25 MB


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

    def serves(self, tenant: str) -> bool:
        """Return whether this run is for a tenant: asked for, and not refused by the settings."""
        return (self.tenants is None or tenant in self.tenants) and tenant not in self.refused

    @cached_property
    def refused(self) -> frozenset[str]:
        """Return the landed tenants that `tenants.toml` does not know while it has to."""
        if self.settings.auto_tenants:
            return frozenset()
        known = overrides(self.settings)
        landed = {t for snapshot in self.snapshots.values() for _, t in snapshot.content()}
        return frozenset(landed - set(known) - {UNASSIGNED})

    def landed(self, kind: Kind) -> dict[Partition, LandedContent]:
        """Return every landed (day, tenant) of this view with its content's identity.

        Rows of days that retention has passed are not seen, even where some have landed since.
        """
        if kind not in self._landed:
            found = self.snapshots[kind].content(self.tenants)
            self._landed[kind] = {
                p: c
                for p, c in found.items()
                if p[1] not in self.refused and self.horizons.keeps(TABLES[kind], *p)
            }
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
                day: records or {}
                for day, records in self.store.records.many(asset, published).items()
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

    def partitions(self, asset: str, days: Collection[date] | None = None) -> set[Partition]:
        """Return what is published of an asset, files without a record included."""
        found = {(day, tenant) for day, of in self._day_records(asset).items() for tenant in of}
        found |= {p for path in self._identities[asset] if (p := data_partition(path))}
        return {
            p
            for p in found
            if (days is None or p[0] in days) and self.serves(p[1]) and self.keeps(asset, p)
        }

    @cached_property
    def horizons(self) -> Horizons:
        """What retention has left."""
        return read_horizons(self.store.objects)

    @cached_property
    def _seals(self) -> dict[str, Seal]:
        start = self.settings.start_date
        every = {t: h.seal for t, h in self.horizons.tenants.items() if h.seal is not None}
        return {tenant: seal for tenant, seal in every.items() if start <= seal.day}

    def seal(self, tenant: str) -> Seal | None:
        """Return what is left of a tenant's sealed events; None where all are before the start date."""
        return self._seals.get(tenant)

    def keeps(self, asset: str, partition: Partition) -> bool:
        """Say whether a day of an asset is made: one that retention has passed is not.

        What was published of a day whose events are sealed stays, until its own retention ends.
        """
        made_of = EVENTS if asset not in OF_ITEMS else asset
        return self.horizons.keeps(asset, *partition) and self.horizons.keeps(made_of, *partition)

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
        read = list(partitions)
        objects = self.store.objects
        listed = objects.list(f"{asset}/") if len(read) > MANY_FILES else None
        for partition in read:
            path = data_file(asset, *partition)
            found = objects.identity(path) if listed is None else listed.get(path)
            if found != self._identities[asset].get(path):
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
        """Return the hash of all that the valid rows of a (day, tenant) depend on.

        The quarantine limit is not part of it: it decides whether they are published.
        """
        landed = self.landed(kind).get(partition)
        return digest(
            CODE_VERSIONS[VALIDATED[kind]],
            landed.content if landed else "",
            self.config(partition[1]).categories if kind == "items" else None,
        )

    def quarantined_inputs(self, kind: Kind, partition: Partition) -> str:
        """Return the hash of all that the quarantine of a (day, tenant) depends on."""
        return digest(self.rows_inputs(kind, partition), CODE_VERSIONS[QUARANTINED[kind]])

    def is_split(self, kind: Kind, partition: Partition) -> bool:
        """Return whether a (day, tenant) is published from its landed rows and limit of today."""
        valid = self.intact(VALIDATED[kind], partition)
        bad = self.intact(QUARANTINED[kind], partition)
        return (
            valid is not None
            and valid.inputs == self.rows_inputs(kind, partition)
            and valid.held == self.is_held(kind, partition, valid.counts)
            and (
                not self.keeps(QUARANTINED[kind], partition)
                or (bad is not None and bad.inputs == self.quarantined_inputs(kind, partition))
            )
        )

    def split(self, kind: Kind, partitions: Collection[Partition]) -> Split:
        """Split the landed rows of some partitions."""
        days = {day for day, _ in partitions}
        names = {tenant for _, tenant in partitions}
        landed = self.snapshots[kind].scan(days, names)
        wanted = pl.LazyFrame(
            {"date": [p[0] for p in partitions], "tenant": [p[1] for p in partitions]},
            schema={"date": pl.Date, "tenant": pl.String},
        )
        rows = landed.join(
            wanted, on=["date", "tenant"], how="semi", maintain_order="left"
        ).collect()
        listed = {n: c for n in names if (c := self.config(n).categories) is not None}
        return split(rows, kind, listed if kind == "items" else None)

    def is_held(self, kind: Kind, partition: Partition, counts: Mapping[str, int]) -> bool:
        """Apply the quarantine limit to a partition's counts.

        Days before the start date have no partition in which to be looked at: never held.
        """
        rejected, rows = share_counts(counts)
        if partition[0] < self.settings.start_date:
            return False
        if rows < max(self.settings.quarantine_min_rows, 1):
            return False
        share: float = rejected / rows
        return share > self.quarantine_limit(kind, partition)

    def effective(
        self, kind: Kind, until: date, *, resolve: bool = True
    ) -> dict[Partition, Effective]:
        """Resolve what later steps see of every validated (day, tenant) up to a day.

        Events before the start date are not seen; item versions are, whenever they are from.

        Args:
            kind: Events or items.
            until: The last day.
            resolve: Split what is not published, to know; else it stays `UNKNOWN`.
        """
        start = self.settings.start_date if kind == "interactions" else date.min
        wanted = [p for p in self.landed(kind) if start <= p[0] <= until]
        known = self._effective[kind]
        unknown: list[Partition] = []
        for partition in wanted:
            if partition in known:
                continue
            seen = self._from_record(kind, partition)
            if seen is None:
                unknown.append(partition)
            else:
                known[partition] = seen
        if resolve:
            for group in self.groups(kind, unknown):
                for counts in self.split(kind, group).counts.iter_rows(named=True):
                    partition = (counts["date"], counts["tenant"])
                    known[partition] = self._from_counts(kind, partition, counts)
        return {p: known.get(p, UNKNOWN) for p in wanted}

    def _from_record(self, kind: Kind, partition: Partition) -> Effective | None:
        """Judge by what is recorded; None when the landed rows are not those of the record."""
        record = self.intact(VALIDATED[kind], partition)
        if record is None or record.inputs != self.rows_inputs(kind, partition):
            return None
        if self.is_held(kind, partition, record.counts):
            return of_record(record, held=True)
        if not record.held:
            return of_record(record, held=False)
        return self._from_counts(kind, partition, record.counts)  # accepted since

    def _from_counts(
        self, kind: Kind, partition: Partition, counts: Mapping[str, int]
    ) -> Effective:
        if not self.is_held(kind, partition, counts):
            inputs = self.rows_inputs(kind, partition)
            return Effective(inputs, published=False, held=False, has_rows=counts["valid"] > 0)
        record = self.intact(VALIDATED[kind], partition)
        if record and record.published_inputs:
            return of_record(record, held=True)
        return Effective(None, published=False, held=True, has_rows=False)

    def groups(self, kind: Kind, partitions: Iterable[Partition]) -> Iterator[list[Partition]]:
        """Group partitions, in order, so that a group's landed rows stay within `chunk_rows`."""
        landed = self.landed(kind)
        group: list[Partition] = []
        total = 0
        for partition in sorted(partitions):
            rows = landed[partition].rows if partition in landed else 0
            if group and total + rows > self.settings.chunk_rows:
                yield group
                group, total = [], 0
            group.append(partition)
            total += rows
        if group:
            yield group

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

    def parts(self, kind: Kind, partitions: Collection[Partition]) -> Iterator[pl.DataFrame]:
        """Read the rows of `valid` part by part: a day may be larger than a pass should be."""
        return self.valid(kind, partitions).collect_batches(
            chunk_size=PART_ROWS, maintain_order=True, engine="streaming"
        )

    def published(self, kind: Kind, partitions: Iterable[Partition]) -> list[Partition]:
        """Return those partitions of which `valid` reads the published file."""
        wanted = list(partitions)
        until = max((day for day, _ in wanted), default=date.min)
        seen = self.effective(kind, until)
        return [p for p in wanted if p in seen and seen[p].has_rows and seen[p].published]

    def chains(self, kind: Kind, until: date, *, resolve: bool = True) -> Chains:
        """Return the running hash of everything that each tenant's days hold."""
        sealed = self._seals if kind == "interactions" else None
        return Chains.over(self.effective(kind, until, resolve=resolve), sealed)
