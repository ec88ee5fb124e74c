"""What one version of a landing table holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

import polars as pl

from recsys_pipeline.schemas.landing import LandedInteraction, LandedItem
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.storage.delta_files import (
    NO_FILES,
    PARTITIONS,
    STREAMED,
    live_files,
    may_hold,
)
from recsys_pipeline.storage.landing_log import transaction_version

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date, datetime

    from deltalake import DeltaTable

Kind = Literal["interactions", "items"]
TABLES: dict[Kind, str] = {"interactions": "raw_interactions", "items": "raw_items"}
KAFKA_BATCHES = STREAMED
MODELS = {"interactions": LandedInteraction, "items": LandedItem}


@dataclass(frozen=True)
class LandedContent:
    """What is landed for one (day, tenant).

    Attributes:
        rows: Number of rows.
        content: Hash of (batch, rows, first and last position, latest revision if any) of each
            batch; the layout of files is no part of it.
    """

    rows: int
    content: str


class LandingSnapshot:
    """One pinned version of a landing table; version -1 means that there is no table yet."""

    def __init__(self, kind: Kind, table: DeltaTable | None, uri: str) -> None:
        self.kind: Kind = kind
        self._uri = uri
        self.version: int = -1 if table is None else table.version()
        self._table = table

    @cached_property
    def _live(self) -> pl.DataFrame:
        return NO_FILES if self._table is None else live_files(self._table)

    def scan(
        self, days: Collection[date] | None = None, tenants: Collection[str] | None = None
    ) -> pl.LazyFrame:
        """Read landed rows, in no particular order.

        Args:
            days: Days to read; None means all.
            tenants: Tenants to read; None means all.

        Returns:
            The columns and dtypes of `LandedInteraction` or `LandedItem`.
        """
        return self._read(self._files(days, tenants))

    def batch(self, batch_id: str) -> pl.LazyFrame:
        """Read the rows of one batch."""
        files = self._files().filter(may_hold(batch_id))
        return self._read(files).filter(pl.col("batch_id") == batch_id)

    def last_received(self, batch_id: str) -> datetime | None:
        """Return when the latest row of a batch was received, UTC; None where it has no row."""
        files = self._files().filter(may_hold(batch_id))
        newest = files.filter(pl.col("max.position") == pl.col("max.position").max())
        rows = self._read(newest).filter(pl.col("batch_id") == batch_id)
        found = rows.select(pl.col("received_at").max()).collect().item()
        return found if found is None else found.replace(tzinfo=UTC)

    def latest_batch(self, tenant: str) -> str | None:
        """Return the batch of a tenant's rows that were received last; None where it has no row."""
        rows = self.scan(tenants=[tenant])
        newest = rows.group_by("batch_id").agg(pl.col("received_at").max())
        found = newest.sort("received_at", "batch_id").tail(1).collect(engine="streaming")
        return None if found.is_empty() else str(found["batch_id"].item())

    def _files(
        self, days: Collection[date] | None = None, tenants: Collection[str] | None = None
    ) -> pl.DataFrame:
        files = self._live
        if days is not None:
            files = files.filter(pl.col("partition.date").is_in(sorted(days)))
        if tenants is not None:
            files = files.filter(pl.col("partition.tenant").is_in(sorted(tenants)))
        return files

    def _read(self, files: pl.DataFrame) -> pl.LazyFrame:
        # not pl.scan_delta: it asks for the URL-encoded path where a folder has a space
        schema = frame_schema(MODELS[self.kind])
        if files.is_empty():
            return pl.LazyFrame(schema=schema)
        hive = {name: schema[name] for name in PARTITIONS}
        # a `key=value` folder above the table is parsed too, and must be declared
        above: dict[str, pl.DataType] = {
            part.split("=")[0]: pl.String() for part in self._uri.split("/") if "=" in part
        }
        return pl.scan_parquet(
            # partition by partition, earlier files first: what needs an order finds it nearly made
            [f"{self._uri}/{path}" for path in files["path"].sort()],
            schema={name: dtype for name, dtype in schema.items() if name not in hive},
            hive_schema=above | hive,
            glob=False,
            # files that an older or a newer contract wrote
            missing_columns="insert",
            extra_columns="ignore",
        ).select(schema.names())

    def content(
        self, tenants: Collection[str] | None = None
    ) -> dict[tuple[date, str], LandedContent]:
        """Summarise every (day, tenant) that has rows; compaction changes nothing in it."""
        batches = (
            self._batches(self._files(tenants=tenants))
            .group_by("date", "tenant", "batch_id")
            .agg(
                pl.col("rows").sum(),
                pl.col("first").min(),
                pl.col("last").max(),
                pl.col("revision").max(),
            )
            .sort("date", "tenant", "batch_id")
        )
        found: dict[tuple[date, str], LandedContent] = {}
        for (day, tenant), group in groupby(batches.iter_rows(), key=itemgetter(0, 1)):
            # what was never replayed keeps the hash that it had before there were revisions
            rows = [row[2:] if row[-1] is not None else row[2:-1] for row in group]
            digest = hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()
            found[day, tenant] = LandedContent(sum(row[1] for row in rows), digest)
        return found

    def _batches(self, files: pl.DataFrame) -> pl.DataFrame:
        """Return rows, first and last position and latest revision per (file, batch).

        The log's statistics tell them for a file of one batch; only files that compaction made
        of several are read.
        """
        one = (
            (pl.col("min.batch_id") == pl.col("max.batch_id"))
            & pl.col("num_records").is_not_null()
            & pl.col("min.position").is_not_null()
        ).fill_null(value=False)
        told = files.filter(one).select(
            pl.col("partition.date").alias("date"),
            pl.col("partition.tenant").alias("tenant"),
            pl.col("min.batch_id").alias("batch_id"),
            pl.col("num_records").alias("rows"),
            pl.col("min.position").alias("first"),
            pl.col("max.position").alias("last"),
            pl.col("max.revision").alias("revision"),
        )
        position = pl.col("position")
        read = (
            self._read(files.filter(~one))
            .group_by("date", "tenant", "batch_id")
            .agg(
                pl.len().cast(pl.Int64).alias("rows"),
                position.min().alias("first"),
                position.max().alias("last"),
                pl.col("revision").max(),
            )
            .collect(engine="streaming")
        )
        return pl.concat([told, read])

    def bytes_by_day(self) -> dict[date, int]:
        """Return the size of each day's files."""
        sizes = self._live.group_by("partition.date").agg(pl.col("size_bytes").sum())
        return dict(sizes.iter_rows())

    def sizes_by_tenant(self) -> dict[str, tuple[int, int]]:
        """Return rows and bytes of each tenant's files."""
        sizes = self._live.group_by("partition.tenant").agg(
            pl.col("num_records").sum(), pl.col("size_bytes").sum()
        )
        return {tenant: (rows, size) for tenant, rows, size in sizes.iter_rows()}

    def sequence(self, tenant: str, key: str) -> int | None:
        """Return the committed sequence of an upload's key, None when it has never landed."""
        return self._transaction(upload_id(tenant, key))

    def offset(self, app_id: str) -> int | None:
        """Return the landed offset of a Kafka partition, None when nothing of it has landed."""
        return self._transaction(app_id)

    def is_retracted(self, batch_id: str) -> bool:
        """Say whether the batch has been withdrawn."""
        return self._transaction(retraction_id(batch_id)) is not None

    def _transaction(self, app_id: str) -> int | None:
        table = self._table
        return None if table is None else transaction_version(self._uri, table, app_id)


def upload_id(tenant: str, key: str) -> str:
    """Return the Delta app id under which an upload's sequence is committed."""
    return f"upload/{tenant}/{key}"


def retraction_id(batch_id: str) -> str:
    """Return the Delta app id that is present once a batch has been withdrawn."""
    return f"retract/{batch_id}"
