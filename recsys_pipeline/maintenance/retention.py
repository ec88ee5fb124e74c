"""Deletion of what has been kept long enough, by layer and tenant.

First it is noted from which day on a table is kept, so that nothing that is gone counts as missing; then it
is deleted. What a killed run has left, the next one deletes: everything before the noted day goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

from recsys_pipeline.engines.pending import Standing, standings
from recsys_pipeline.engines.sealed import seal
from recsys_pipeline.engines.view import View
from recsys_pipeline.errors import RecsysError, TenantError
from recsys_pipeline.storage.horizons import Horizon, move_horizon, read_horizons
from recsys_pipeline.storage.landing_erasure import ErasableLanding
from recsys_pipeline.storage.landing_upkeep import clean
from recsys_pipeline.storage.layout import data_partition
from recsys_pipeline.storage.releases import Releases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recsys_pipeline.settings import RetentionLayer, Settings
    from recsys_pipeline.storage.manifest import Manifest
    from recsys_pipeline.storage.parquet_store import ParquetStore
    from recsys_pipeline.storage.records import Partition

TABLES: dict[RetentionLayer, tuple[str, ...]] = {
    "events": ("validated_interactions",),
    "quarantine": ("quarantined_interactions", "quarantined_items"),
    "features": ("user_features", "item_features"),
    "samples": ("training_samples",),
}
State = Literal["due", "done", "refused", "nothing"]


@dataclass(frozen=True)
class Step:
    """What is to go of a layer of a tenant.

    Attributes:
        tenant: The tenant.
        layer: The layer; `any layer` where the tenant's configuration can't be read.
        kept_from: The first day that is kept; None for releases.
        count: Days (of the largest of its tables), or releases.
        rows: Rows, in all its tables.
        bytes: Bytes, in all its tables.
        state: `due`, `done`, `refused` or `nothing`.
        reason: Why it is refused.
    """

    tenant: str
    layer: str
    kept_from: date | None
    count: int
    rows: int
    bytes: int
    state: State
    reason: str = ""


class Retention:
    """What is due today.

    Args:
        settings: What is to be kept.
        store: The published tables.
        today: Today (UTC).
        tenants: Only these; None means all that there are.
    """

    def __init__(
        self,
        settings: Settings,
        store: ParquetStore,
        today: date,
        tenants: list[str] | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._today = today
        self._view = View(settings, store)
        self._releases = Releases(store.objects)
        self._partitions: dict[str, set[Partition]] = {}
        known = {t for one in self._view.snapshots.values() for _, t in one.content()}
        known |= {one.content.tenant for one in self._releases.all()}
        known |= set(read_horizons(store.objects).tenants)
        self._tenants = sorted(known if tenants is None else set(tenants))

    def plan(self) -> Iterator[Step]:
        """Yield what is due, and what is refused and why; nothing is changed."""
        yield from self._go(apply=False)

    def apply(self) -> Iterator[Step]:
        """Delete what is due; yield what was deleted, step by step.

        A layer that is refused, or fails, keeps no other from being done.
        """
        yield from self._go(apply=True)
        for kind in ("interactions", "items"):
            clean(ErasableLanding(self._settings.storage_root, kind), self._today.toordinal())

    def _go(self, *, apply: bool) -> Iterator[Step]:
        for tenant in self._tenants:
            try:
                wished = self._view.config(tenant).retention
            except TenantError as error:  # its rows landed before `tenants.toml` was without it
                if self._settings.retention:
                    yield Step(tenant, "any layer", None, 0, 0, 0, "refused", str(error))
                continue
            for layer in TABLES:
                if layer in wished:
                    first = self._today - timedelta(days=wished[layer])
                    step = self._days_due(tenant, layer, first)
                    act = self._seal if layer == "events" else self._move
                    yield _attempt(step, partial(act, tenant, layer, first), apply=apply)
            if "releases" in wished:
                surplus = self._surplus(tenant, wished["releases"])
                size = sum(file.bytes for one in surplus for file in one.content.files)
                rows = sum(sum(one.rows().values()) for one in surplus)
                state: State = "due" if surplus else "nothing"
                step = Step(tenant, "releases", None, len(surplus), rows, size, state)
                yield _attempt(step, partial(self._delete_releases, surplus), apply=apply)

    def _days_due(self, tenant: str, layer: RetentionLayer, first: date) -> Step:
        """Return what a layer has before a day."""
        days: set[date] = set()
        rows = size = 0
        for table in TABLES[layer]:
            for day in self._view.published_days(table):
                record = self._view.records(table, day).get(tenant)
                if day < first and record is not None:
                    days.add(day)
                    rows += record.rows
                    size += record.bytes
        if layer == "events":
            for (day, of), landed in self._view.snapshots["interactions"].content([tenant]).items():
                if of == tenant and day < first:
                    days.add(day)
                    rows += landed.rows
        step = Step(tenant, layer, first, len(days), rows, size, "due")
        if not days:
            return replace(step, state="nothing")
        reason = self._refusal(tenant, first) if layer == "events" else ""
        return replace(step, state="refused", reason=reason) if reason else step

    def _refusal(self, tenant: str, first: date) -> str:
        """Say why a tenant's events before a day can't be sealed; empty when they can."""
        bad = [
            one
            for one in self._standings
            if one.tenant == tenant and one.day < first and one.state != "current"
        ]
        if not bad:
            return ""
        worst = min(bad, key=lambda one: one.day)
        cure = (
            f"recsys quarantine accept --tenant {tenant} --date {worst.day}"
            if worst.state == "held"
            else f"recsys run --tenant {tenant}"
        )
        return f"{worst.day} is {worst.state} in {worst.asset}: {cure}"

    @cached_property
    def _standings(self) -> list[Standing]:
        return list(standings(self._view))

    def _seal(self, tenant: str, layer: RetentionLayer, first: date) -> None:
        """Put the state in the place of a tenant's events before a day."""
        old = read_horizons(self._store.objects).of(tenant).seal
        if old is None or old.day < first - timedelta(days=1):
            seal(View(self._settings, self._store), tenant, first - timedelta(days=1))
        ErasableLanding(self._settings.storage_root, "interactions").forget(tenant, first)
        self._delete(tenant, layer, first)

    def _move(self, tenant: str, layer: RetentionLayer, first: date) -> None:
        """Keep the tables of a layer from a day on."""

        def moved(horizon: Horizon) -> Horizon:
            kept = horizon.kept_from
            later = {table: max(first, kept.get(table, date.min)) for table in TABLES[layer]}
            return Horizon(kept_from={**kept, **later}, seal=horizon.seal)

        move_horizon(self._store.objects, tenant, moved)
        self._delete(tenant, layer, first)

    def _delete_releases(self, surplus: list[Manifest]) -> None:
        for one in surplus:
            self._releases.delete(one)

    def _delete(self, tenant: str, layer: RetentionLayer, first: date) -> None:
        for table in TABLES[layer]:
            for day, of in sorted(self._stored(table)):
                if of == tenant and day < first:
                    self._store.forget(table, (day, tenant))

    def _stored(self, table: str) -> set[Partition]:
        """Return what there is of a table: files without a record, which killed runs have left, too."""
        if table not in self._partitions:
            days = self._view.published_days(table)
            recorded = {(day, tenant) for day in days for tenant in self._view.records(table, day)}
            files = map(data_partition, self._store.objects.list(f"{table}/"))
            self._partitions[table] = recorded | {found for found in files if found}
        return self._partitions[table]

    def _surplus(self, tenant: str, kept: int) -> list[Manifest]:
        """Return the releases that are neither pinned nor among the latest."""
        unpinned = [one for one in self._releases.all(tenant) if not self._releases.is_pinned(one)]
        return unpinned[kept:]


def _attempt(step: Step, act: Callable[[], None], *, apply: bool) -> Step:
    if not apply or step.state != "due":
        return step
    try:
        act()
    except RecsysError as error:
        return replace(step, state="refused", reason=str(error))
    return replace(step, state="done")
