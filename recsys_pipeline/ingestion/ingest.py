"""Files into the landing zone: one batch and one commit per file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Literal, Protocol

import polars as pl

from recsys_pipeline.errors import KeyReusedError, SettingsError, SourceError
from recsys_pipeline.ingestion.batch_records import RECORDS, record_path
from recsys_pipeline.ingestion.batches import (
    AlreadyLanded,
    Batch,
    Counts,
    implicit_key,
    land_batch,
    plan_batch,
)
from recsys_pipeline.ingestion.mapping import load_mapping
from recsys_pipeline.ingestion.normalise import Receipt, normalise
from recsys_pipeline.ingestion.readers import read_blocks
from recsys_pipeline.ingestion.readers.source import check_path, open_source
from recsys_pipeline.ingestion.withdrawals import Withdrawals
from recsys_pipeline.schemas.bounds import EARLIEST
from recsys_pipeline.schemas.landing import PROBLEM_WORDS
from recsys_pipeline.storage.erased import read_erased
from recsys_pipeline.storage.horizons import EVENTS, read_horizons
from recsys_pipeline.storage.landing import TABLES, Kind, Landing
from recsys_pipeline.tenants import TenantConfig, free_name, overrides, tenant_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys_pipeline.ingestion.mapping import Mapping
    from recsys_pipeline.ingestion.readers.source import Source
    from recsys_pipeline.settings import Settings

Mode = Literal["upsert", "snapshot"]
Progress = Callable[[str, int, int], None]
MAX_COLUMNS = 1000  # every one but the contract's goes into a row's JSON
Watch = Callable[[pl.DataFrame], None]


@dataclass(frozen=True)
class IngestSummary:
    """What became of one file.

    Attributes:
        file: The path as given.
        batch_id: Its batch, or the earlier batch of the same file; None when it has no rows.
        already_landed: True when the file had landed before, so that nothing changed.
        counts: Rows read, landed, unreadable by reason, parked, before the start date; and the
            days touched. They are the earlier batch's where the file had landed before.
        withdrawn: Items that a snapshot no longer has, landed as unavailable; part of the counts
            except `read`.
        notices: What the user should know, one sentence each.
    """

    file: str
    batch_id: str | None
    already_landed: bool
    counts: Counts
    withdrawn: int
    notices: tuple[str, ...]


class Outbox(Protocol):
    """Where it is noted that a batch is to be announced once it has landed."""

    def owe(self, batch: Batch) -> None:
        """Note it, before the batch lands."""
        ...

    def drop(self, batch: Batch) -> None:
        """Forget it: the batch did not land, or another landed it."""
        ...


@dataclass(frozen=True)
class Options:
    """How files land.

    Attributes:
        as_of: Day of item versions that have no time of their own.
        mode: `snapshot` also withdraws the tenant's available items that the file doesn't have.
        replace: Batch whose rows leave the landing zone in the same transaction.
        key: Idempotency key of the sender's own; None derives one from the content.
        source: What a landed row's `source` says; None for `file:` and the file's name. With a key it
            names the content: what repeats the key must say the same.
        outbox: Where the batches are to be announced, where they are.
    """

    as_of: date | None = None
    mode: Mode = "upsert"
    replace: str | None = None
    key: str | None = None
    source: str | None = None
    outbox: Outbox | None = None


def ingest_files(
    settings: Settings,
    kind: Kind,
    paths: Sequence[str],
    tenant: str,
    mapping: str | None = None,
    *,
    options: Options = Options(),  # frozen
    received_at: datetime | None = None,
    progress: Progress | None = None,
) -> list[IngestSummary]:
    """Land files; see `ingest_each`, which yields each summary as soon as its file has landed."""
    each = ingest_each(
        settings,
        kind,
        paths,
        tenant,
        mapping,
        options=options,
        received_at=received_at,
        progress=progress,
    )
    return list(each)


def ingest_each(  # noqa: PLR0913  # by name
    settings: Settings,
    kind: Kind,
    paths: Sequence[str],
    tenant: str,
    mapping: str | None = None,
    *,
    options: Options = Options(),  # frozen
    received_at: datetime | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    landing: Landing | None = None,
) -> Iterator[IngestSummary]:
    """Land files one after the other, each in one transaction or not at all.

    Args:
        settings: Where to land, the start date and the limits.
        kind: `interactions` or `items`.
        paths: Local paths or `s3://` addresses.
        tenant: Owner of the rows.
        mapping: Built-in name or TOML file; None means the tenant's, else the default mapping.
        options: How they land.
        received_at: Time of receipt; now by default.
        progress: Called with a path, the bytes of it read so far, and its size in bytes.
        watch: Called with the rows of each block before they land; what it raises stops the file.
        landing: The table, where it is not to be opened anew; a new tenant is then not told of.

    Yields:
        A summary per file.

    Raises:
        TenantError: The tenant is not acceptable.
        MappingError: The mapping is wrong or doesn't fit a file.
        SourceError: A file is missing, empty or damaged. Nothing of it has landed.
        SettingsError: An option contradicts another.
        LandingError: `replace` names no landed batch, or the landing zone refused the write.
    """
    config = tenant_config(settings, free_name(tenant))
    received_at = (received_at or datetime.now(UTC)).astimezone(UTC)
    _check_options(kind, paths, options, received_at)
    rules = load_mapping(mapping or config.mapping, kind)
    for path in paths:
        check_path(path)
    notices = _tenant_notices(settings, tenant) if landing is None else ()
    landing = landing or Landing(settings.storage_root, kind)
    for path in paths:
        with open_source(path) as source:
            hooks = (progress, watch)
            file = _File(settings, config, landing, rules, source, received_at, options, *hooks)
            summary = file.ingest()
        yield replace(summary, notices=(*notices, *summary.notices))
        notices = ()


def read_rows(
    settings: Settings,
    kind: Kind,
    path: str,
    tenant: str,
    mapping: str | None = None,
    *,
    options: Options = Options(),  # frozen
    received_at: datetime | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file as they would land; nothing lands. Arguments as of `ingest_each`.

    Raises:
        TenantError: The tenant is not acceptable.
        MappingError: The mapping is wrong or doesn't fit the file.
        SourceError: The file is missing, empty or damaged.
    """
    config = tenant_config(settings, free_name(tenant))
    received_at = (received_at or datetime.now(UTC)).astimezone(UTC)
    rules = load_mapping(mapping or config.mapping, kind)
    landing = Landing(settings.storage_root, kind)
    batch = Batch("none", kind, config.name, options.source or "none", "", 1, None, received_at)
    with open_source(path) as source:
        file = _File(settings, config, landing, rules, source, received_at, options, None, None)
        yield from file.rows(batch)


@dataclass
class _File:
    """One file on its way."""

    settings: Settings
    config: TenantConfig
    landing: Landing
    mapping: Mapping
    source: Source
    received_at: datetime
    options: Options
    progress: Progress | None
    watch: Watch | None

    def ingest(self) -> IngestSummary:
        tenant = self.config.name
        # all that decides what the bytes become is part of the key
        reading = "|".join((self.mapping.fingerprint(), str(self.options.as_of), self.options.mode))
        planned = plan_batch(
            self.landing,
            tenant=tenant,
            source=self.options.source or self.source.label,
            key=implicit_key(tenant, self.landing.kind, self.source.digest, reading)
            if self.options.key is None
            else implicit_key(tenant, self.landing.kind, f"key:{self.options.key}", None),
            mapping=self.mapping.name,
            received_at=self.received_at,
            idempotency_days=self.settings.idempotency_days,
            replaces=self.options.replace,
            explicit=self.options.key is not None,
        )
        if isinstance(planned, AlreadyLanded):
            return self._already(planned)
        withdrawals = self._withdrawals()
        frames = self._frames(planned, withdrawals)
        first = next((frame for frame in frames if frame.height), None)
        if first is None:
            return self._empty()
        try:
            if self.options.outbox is not None:
                self.options.outbox.owe(planned)
            done = land_batch(
                self.landing,
                planned,
                chain([first], frames),
                start_date=self.settings.start_date,
            )
        except BaseException:
            self._forget(planned)
            raise
        if isinstance(done, AlreadyLanded):
            if self.options.outbox is not None:
                self.options.outbox.drop(planned)
            return self._already(done)
        return self._landed(done, withdrawals)

    def rows(self, batch: Batch) -> Iterator[pl.DataFrame]:
        """Yield the rows as they land under a batch."""
        return self._frames(batch, None)

    def _frames(self, batch: Batch, withdrawals: Withdrawals | None) -> Iterator[pl.DataFrame]:
        receipt = Receipt(
            tenant=batch.tenant,
            batch_id=batch.batch_id,
            source=batch.source,
            received_at=self.received_at,
            as_of=self.options.as_of,
            start_date=self.settings.start_date,
            known_items=self._known_items(),
            erased=read_erased(self.landing.store).of(batch.tenant),
        )
        checked = False
        for block in read_blocks(self.source, self.mapping.format):
            if block.rows.width > MAX_COLUMNS:
                raise SourceError(
                    self.source.name, f"has over {MAX_COLUMNS:,} columns", "Leave some out"
                )
            if not checked and (block.complete or block.rows.height):
                self.mapping.check_columns(
                    block.rows.columns, self.source.name, complete=block.complete
                )
                checked = True
            rows = normalise(block, self.mapping, receipt)
            if withdrawals is not None:
                withdrawals.see(rows)
            if self.progress is not None:
                self.progress(self.source.name, block.consumed, self.source.size)
            if self.watch is not None:
                self.watch(rows)
            yield rows
        self.source.check_unchanged()
        if withdrawals is not None:
            yield withdrawals.rows(receipt)

    def _known_items(self) -> pl.Series:
        if self.landing.kind != "items" or self.options.as_of is not None:
            return pl.Series("item_id", [], dtype=pl.String)
        ids = self._landed_items().select(pl.col("item_id").drop_nulls().unique())
        return ids.collect(engine="streaming")["item_id"]

    def _withdrawals(self) -> Withdrawals | None:
        if self.options.mode != "snapshot":
            return None
        day = self.options.as_of or self.received_at.date()
        return Withdrawals(self._landed_items(), self.config, day)

    def _landed_items(self) -> pl.LazyFrame:
        landed = self.landing.snapshot().scan(tenants=[self.config.name])
        # what this batch replaces was never there
        return landed.filter(pl.col("batch_id") != (self.options.replace or ""))

    def _forget(self, batch: Batch) -> None:
        """Remove the record of a batch that did not land."""
        committed = self.landing.sequence(batch.tenant, batch.key) or 0
        if committed < batch.sequence:
            self.landing.store.delete(record_path(batch.kind, batch.tenant, batch.batch_id))
            if self.options.outbox is not None:
                self.options.outbox.drop(batch)

    def _already(self, found: AlreadyLanded) -> IngestSummary:
        batch = found.batch
        if self.options.key is not None and batch.source != self.options.source:
            raise KeyReusedError(
                f"key {self.options.key!r}",
                f"has landed other content as batch {batch.batch_id}",
                "Send another key with other content",
            )
        return self._summary(
            batch.batch_id,
            batch.counts or Counts(),
            f"{self.source.name} has already landed as batch {batch.batch_id} on "
            f"{batch.received_at:%Y-%m-%d}; nothing has changed",
            already=True,
        )

    def _empty(self) -> IngestSummary:
        notice = f"{self.source.name} has no rows; nothing has landed"
        return self._summary(None, Counts(), notice)

    def _landed(self, batch: Batch, withdrawals: Withdrawals | None) -> IngestSummary:
        counts = batch.counts or Counts()
        notices = []
        if counts.before_start:
            notices.append(
                f"{counts.before_start:,} rows are of days before the start date "
                f"{self.settings.start_date}; they have landed and appear once you set "
                f"RECSYS_START_DATE={counts.first_day} or earlier"
            )
        kept_from = read_horizons(self.landing.store).of(batch.tenant).kept_from.get(EVENTS)
        if (
            batch.kind == "interactions"
            and kept_from is not None
            and counts.first_day is not None
            and counts.first_day < kept_from
        ):
            notices.append(
                f"rows of days before {kept_from} count nowhere and will be deleted: retention has "
                f"sealed those days"
            )
        if counts.parked > self.settings.parked_limit * counts.landed:
            words = {w: n for c, w in PROBLEM_WORDS.items() if (n := counts.unreadable.get(c))}
            most = max(words, key=lambda word: words[word], default="must have a known day")
            notices.append(
                f"{counts.parked:,} of {counts.landed:,} rows are parked because their day is "
                f"unknown (mostly: {most}); see docs/mappings.md, then `ingest --replace "
                f"{batch.batch_id}`"
            )
        if withdrawals is not None:
            notices += withdrawals.notices
        return self._summary(batch.batch_id, counts, *notices, withdrawals=withdrawals)

    def _summary(
        self,
        batch_id: str | None,
        counts: Counts,
        *notices: str,
        already: bool = False,
        withdrawals: Withdrawals | None = None,
    ) -> IngestSummary:
        withdrawn = 0 if withdrawals is None else withdrawals.count
        read = replace(counts, read=counts.read - withdrawn)
        return IngestSummary(self.source.name, batch_id, already, read, withdrawn, notices)


def _check_options(
    kind: Kind, paths: Sequence[str], options: Options, received_at: datetime
) -> None:
    if not paths:
        raise SettingsError("FILE", "none was given", "Name at least one file")
    day, snapshot = options.as_of, options.mode == "snapshot"
    if kind == "interactions" and (day is not None or snapshot):
        raise SettingsError("--as-of and --mode", "are for items", "Leave them out")
    if day is not None and not EARLIEST.date() <= day <= received_at.date():
        raise SettingsError("--as-of", f"{day} is not from 1970 to today", "Choose another day")
    if len(paths) > 1:
        for option, given in (("--replace", options.replace), ("--mode snapshot", snapshot)):
            if given:
                raise SettingsError(option, "takes one file", "Ingest the files one by one")


def _tenant_notices(settings: Settings, tenant: str) -> tuple[str, ...]:
    if tenant in overrides(settings):
        return ()
    for kind in TABLES:
        store = Landing(settings.storage_root, kind).store
        if store.list(f"{RECORDS}/{kind}/{tenant}/"):
            return ()
    accepted = f"tenant {tenant!r} is new and not in {settings.tenants_file}"
    return (f"{accepted}; accepted because RECSYS_AUTO_TENANTS is true",)
