"""Quarantined rows read anew, under a mapping that was mended since.

Tables are made from the landing at each run, so a mended contract needs no replay. A mapping has done its
part when rows land: what it could not read is read again here, from what is kept of it (`rereading.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.ingestion.rereading import AT, Rereader
from recsys_pipeline.storage.erased import read_erased
from recsys_pipeline.storage.horizons import Horizons, read_horizons
from recsys_pipeline.storage.landing import TABLES, Kind
from recsys_pipeline.storage.landing_repair import RepairableLanding, Replacement, Scope
from recsys_pipeline.tenants import UNASSIGNED, TenantConfig, tenant_config
from recsys_pipeline.transforms.validation import rejected

if TYPE_CHECKING:
    from datetime import date

    from recsys_pipeline.settings import Settings


@dataclass(frozen=True)
class Selection:
    """Which quarantined rows are replayed.

    Attributes:
        kind: Table that they landed in.
        tenant: Whose, or `unassigned`.
        first: The first day under which they are; None means from the beginning.
        last: The last; None means to the end.
        reason: First rule broken, as `recsys quarantine list` names it; None means any.
        batch: The batch that brought them; None means any.
    """

    kind: Kind
    tenant: str
    first: date | None = None
    last: date | None = None
    reason: str | None = None
    batch: str | None = None


@dataclass
class Replayed:
    """What a replay came to.

    Attributes:
        repaired: Rows that are read now, by the reason that they had.
        left: Rows that stay as they are, by reason.
        sealed: Rows among those left that are of days which retention has sealed.
        moved: Rows among the repaired whose day or tenant is another one now.
        partitions: (day, tenant) pairs that have lost or gained a row.
        mappings: Names of the mappings that were tried.
    """

    repaired: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    sealed: int = 0
    moved: int = 0
    partitions: set[tuple[date, str]] = field(default_factory=set)
    mappings: list[str] = field(default_factory=list)


def replay(
    settings: Settings, selection: Selection, mapping: str | None = None, *, dry_run: bool = False
) -> Replayed:
    """Read quarantined rows anew and land those that are well in one transaction, each exactly once.

    A row that is still bad stays as it is, so a second replay changes nothing. A repaired row keeps its
    batch, position, source and time of receipt; its day may be another one. A message whose tenant is known
    now is its tenant's, be it well or not.

    Args:
        settings: The storage root, tenants and topics.
        selection: Which rows.
        mapping: Name of the mapping to read them with, see `Rereader`.
        dry_run: Only say what would become of them.

    Raises:
        TenantError: The tenant is not acceptable.
        MappingError: A mapping is wrong or gone.
        SettingsError: A mapping is given for messages of no tenant, which are read by their tenant's.
        LandingError: Other writers won every attempt; nothing has changed.
    """
    config = tenant_config(settings, selection.tenant)
    if mapping is not None and selection.tenant == UNASSIGNED:
        raise SettingsError(
            "--mapping",
            "is not for messages of no tenant",
            "Set the mapping of their tenant in tenants.toml",
        )
    landing = RepairableLanding(settings.storage_root, selection.kind)
    scope = Scope(selection.tenant, selection.first, selection.last, selection.batch)

    def begin() -> _Replay:
        rereader = Rereader(settings, landing, mapping, read_erased(landing.store))
        return _Replay(selection, config, rereader, read_horizons(landing.store))

    done = landing.repair(scope, begin, dry_run=dry_run)
    done.outcome.mappings = done.rereader.mappings
    return done.outcome


class _Replay:
    """One attempt."""

    def __init__(
        self, selection: Selection, config: TenantConfig, rereader: Rereader, horizons: Horizons
    ) -> None:
        self._selection = selection
        listed = config.categories if selection.kind == "items" else None
        self._categories = None if listed is None else {config.name: listed}
        self.rereader = rereader
        self._horizons = horizons
        self.outcome = Replayed()

    def of(self, rows: pl.DataFrame) -> Replacement:
        """Return the rows of a file that are well now."""
        numbered = rows.with_row_index(AT)
        reasons = pl.col("reasons").str.split(";").list.first().alias("reason")
        bad = self._chosen(self._rejected(numbered).select(AT, "batch_id", reasons))
        read = self.rereader.read(numbered.join(bad.select(AT), on=AT, how="semi"))
        still = self._rejected(read).filter(pl.col("tenant") == self._selection.tenant)
        if self._selection.tenant != UNASSIGNED:
            well = read.join(still.select(AT), on=AT, how="anti")
        else:
            well = read.filter(pl.col("tenant") != UNASSIGNED)
        kept = self._unsealed(well).sort(AT)
        self.outcome.sealed += well.height - kept.height
        self._count(numbered, bad, kept)
        return Replacement(kept[AT], kept.drop(AT))

    def _rejected(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rejected(rows, self._selection.kind, self._categories)

    def _chosen(self, bad: pl.DataFrame) -> pl.DataFrame:
        wanted = self._selection
        if wanted.batch is not None:
            bad = bad.filter(pl.col("batch_id") == wanted.batch)
        return bad if wanted.reason is None else bad.filter(pl.col("reason") == wanted.reason)

    def _unsealed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Leave out rows whose day is made no more: there they would count nowhere."""
        table = TABLES[self._selection.kind]
        days = rows.select("date", "tenant").unique()
        kept = days.filter([self._horizons.keeps(table, *pair) for pair in days.iter_rows()])
        return rows.join(kept, on=["date", "tenant"], how="semi")

    def _count(self, rows: pl.DataFrame, bad: pl.DataFrame, kept: pl.DataFrame) -> None:
        done = self.outcome
        is_kept = pl.col(AT).is_in(kept[AT].implode())
        done.repaired.update(bad.filter(is_kept)["reason"].to_list())
        done.left.update(bad.filter(~is_kept)["reason"].to_list())
        places = kept.select(AT, "date", "tenant").join(
            rows.select(AT, "date", "tenant"), on=AT, suffix="_before"
        )
        moved = pl.struct("date", "tenant") != pl.struct(
            pl.col("date_before").alias("date"), pl.col("tenant_before").alias("tenant")
        )
        done.moved += places.filter(moved).height
        for ending in ("", "_before"):
            pairs = places.select(f"date{ending}", f"tenant{ending}").unique()
            done.partitions.update(pairs.iter_rows())
