"""Publication of Parquet files per (asset, day, tenant), and reads of what is published.

A publication holds the lock of its (asset, day), refuses to replace what was made from a newer
landing, switches the file as a whole and then writes the record. Killed anywhere, it leaves a
whole file, and at worst a record that does not fit it, which the next run mends.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.io.plugins import register_io_source

from recsys_pipeline.errors import StaleInputError
from recsys_pipeline.storage.file_hash import hash_file
from recsys_pipeline.storage.layout import data_file, record_file
from recsys_pipeline.storage.records import Pin, Record, Records

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from recsys_pipeline.storage.objects import ObjectStore
    from recsys_pipeline.storage.records import Partition

HIVE_SCHEMA = {"date": pl.Date(), "tenant": pl.String()}
ROW_GROUP = 1_000_000
# statistics and the order of rows are what readers skip by; zstd at its fastest
PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "statistics": True,
    "row_group_size": ROW_GROUP,
}


@dataclass(frozen=True)
class Spooled:
    """Rows in a local file of their own, to be moved to their place.

    Attributes:
        path: The file, as it will be published.
        rows: Number of rows; none, and there is no file.
    """

    path: Path
    rows: int


@dataclass(frozen=True)
class Content:
    """What to publish for one tenant of a day.

    Attributes:
        frame: The rows, in their order of storage, in memory or spooled; None publishes nothing new
            (a held day).
        inputs: Hash of all that the rows depend on.
        counts: Row counts of the step, kept in the record.
    """

    frame: pl.DataFrame | Spooled | None
    inputs: str
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rewritten:
    """What has left a file.

    Attributes:
        rows: Rows removed.
        content: Hash of the file's bytes now, empty where no row is left; None where it is as it was.
    """

    rows: int
    content: str | None


class ParquetStore:
    """The published tables below one storage root."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self.records = Records(objects)

    def publish(
        self,
        asset: str,
        day: date,
        contents: Mapping[str, Content],
        pin: Pin,
        began: float | None = None,
    ) -> dict[str, Record]:
        """Switch the given tenants of a day to new content; other tenants stay as they are.

        A tenant with an empty frame loses its file. No tenant at all records an empty day.

        Args:
            asset: The table.
            day: The day.
            contents: What to publish, by tenant.
            pin: Landing versions that it was made from.
            began: When the work on it began, by `time.perf_counter`; now, where it is not told.

        Returns:
            The new record of each given tenant.

        Raises:
            StaleInputError: Something published was made from a landing newer than `pin`.
        """
        began = time.perf_counter() if began is None else began
        with self.objects.lock(f"{asset}/{day}") as lock:
            entries = self.records.day(asset, day) or {}
            for tenant, content in contents.items():
                old = entries.get(tenant)
                if old and pin.older_than(old.pin) and old.inputs != content.inputs:
                    raise StaleInputError(
                        f"{asset} {day} {tenant}",
                        f"is published from landing {old.pin}, newer than this run's {pin}",
                        "Run it again",
                    )
            lock.confirm()
            made = {
                tenant: self._switch(asset, day, tenant, content, pin, entries.get(tenant))
                for tenant, content in contents.items()
            }
            share = round((time.perf_counter() - began) / max(len(made), 1), 6)
            made = {tenant: replace(record, seconds=share) for tenant, record in made.items()}
            lock.confirm()
            self.records.write(asset, day, entries | made)
        return made

    def _switch(
        self, asset: str, day: date, tenant: str, content: Content, pin: Pin, old: Record | None
    ) -> Record:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        path = data_file(asset, day, tenant)
        if old:
            # the same inputs at an older landing: what was published has seen the newer one
            pin = pin.joined(old.pin)
        if content.frame is None:
            is_there = old is not None and self.objects.identity(path) == old.file
            kept = old if old and is_there else Record("", pin, 0, None, "", None, now)
            return replace(kept, inputs=content.inputs, pin=pin, held=True, counts=content.counts)
        frame = content.frame
        spooled = frame if isinstance(frame, Spooled) else self.spool(iter([frame]), frame.schema)
        if not spooled.rows:
            self.objects.delete(path)
            return Record(
                content.inputs,
                pin,
                rows=0,
                file=None,
                content="",
                published_inputs=content.inputs,
                published_at=now,
                counts=content.counts,
            )
        content_hash = _hash_of(spooled.path)
        return Record(
            content.inputs,
            pin,
            rows=spooled.rows,
            file=self.objects.put_file(spooled.path, path, durable=False),
            content=content_hash,
            published_inputs=content.inputs,
            published_at=now,
            counts=content.counts,
        )

    def holds(self, asset: str, partition: Partition, record: Record) -> bool:
        """Say whether a file is the one recorded, or one of the same bytes, as a backup restores it."""
        path = data_file(asset, *partition)
        if self.objects.identity(path) == record.file:
            return True
        handle = self.objects.open(path) if record.file else None
        if handle is None:
            return False
        with handle:
            return hash_file(handle) == record.content

    def rewrite(
        self,
        asset: str,
        partition: Partition,
        kept: Callable[[pl.DataFrame], pl.DataFrame],
        pin: Pin,
    ) -> Rewritten:
        """Leave rows out of a published file, and of every reader's sight at once.

        Its record, if it fits the file, follows it: no older run replaces the file any more, and what was
        made from it is stale.

        Args:
            asset: The table.
            partition: Day and tenant.
            kept: Returns the rows that stay, given those of the file (without the hive levels).
            pin: Landing versions that no longer have what is left out.
        """
        day, tenant = partition
        path = data_file(asset, day, tenant)
        with self.objects.lock(f"{asset}/{day}") as lock:
            before = self.objects.identity(path)
            if before is None:
                return Rewritten(0, None)
            rows = pl.read_parquet(self.objects.uri(path), glob=False, hive_partitioning=False)
            left = kept(rows)
            if left.height == rows.height:
                return Rewritten(0, None)
            entries = self.records.day(asset, day) or {}
            old = entries.get(tenant)
            spooled = self.spool(iter([left]), left.schema)
            lock.confirm()
            content, file = "", None
            if spooled.rows:
                content = _hash_of(spooled.path)
                file = self.objects.put_file(spooled.path, path)
            else:
                self.objects.delete(path)
            if old is not None and old.file == before:
                of = f"{old.published_inputs} without {content}"
                inputs = hashlib.blake2b(of.encode(), digest_size=16).hexdigest()
                entries[tenant] = replace(
                    old,
                    inputs=old.inputs if old.held else inputs,
                    pin=pin.joined(old.pin),
                    rows=left.height,
                    file=file,
                    content=content,
                    published_inputs=inputs,
                )
                self.records.write(asset, day, entries)
        return Rewritten(rows.height - left.height, content)

    def forget(self, asset: str, partition: Partition) -> None:
        """Delete a tenant's day, its record too, as if it had never been published."""
        day, tenant = partition
        with self.objects.lock(f"{asset}/{day}") as lock:
            entries = self.records.day(asset, day) or {}
            lock.confirm()
            self.objects.delete(data_file(asset, day, tenant))
            if entries.pop(tenant, None) is not None and entries:
                self.records.write(asset, day, entries)
            elif not entries:
                self.objects.delete(record_file(asset, day))

    def spool(self, parts: Iterator[pl.DataFrame], schema: Mapping[str, pl.DataType]) -> Spooled:
        """Write rows to a local file; parts are asked for as they are written.

        However the rows are divided, the bytes are the same. A file that is not published is its
        caller's to remove.

        Args:
            parts: The rows, with columns `date` and `tenant`.
            schema: Their columns and dtypes.
        """
        path = self.objects.temporary()
        # the hive levels live in the path: a second copy inside would be free to contradict it
        inner = {name: kind for name, kind in schema.items() if name not in HIVE_SCHEMA}
        some = (part.select(list(inner)) for part in parts if part.height)
        rows = 0

        def counted(*_: object) -> Iterator[pl.DataFrame]:
            nonlocal rows
            while ahead:
                rows += ahead[0].height
                yield ahead.popleft()
                ahead.extend(islice(some, 1))

        ahead = deque(islice(some, 2))
        try:
            if len(ahead) > 1:
                source = register_io_source(counted, schema=inner)
                source.sink_parquet(path, maintain_order=True, engine="streaming", **PARQUET)
            else:
                for part in counted():
                    part.write_parquet(path, **PARQUET)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Spooled(path, rows)

    def scan(
        self,
        asset: str,
        partitions: Collection[Partition],
        schema: Mapping[str, Any] | None = None,
    ) -> pl.LazyFrame:
        """Read published partitions as one lazy frame with `date` and `tenant` columns.

        Args:
            asset: The table.
            partitions: Those that have a file.
            schema: Columns and dtypes to return, in order; without it, those of the files.
        """
        if not partitions:
            return pl.LazyFrame(schema=dict(schema) if schema else HIVE_SCHEMA)
        paths = [self.objects.uri(data_file(asset, *p)) for p in sorted(partitions)]
        inner = {k: v for k, v in schema.items() if k not in HIVE_SCHEMA} if schema else None
        # a `key=value` folder above the root is parsed too, and must be declared
        above: dict[str, pl.DataType] = {
            part.split("=")[0]: pl.String()
            for part in self.objects.uri("").split("/")
            if "=" in part
        }
        frame = pl.scan_parquet(
            paths,
            glob=False,
            hive_partitioning=True,
            hive_schema=above | HIVE_SCHEMA,
            schema=inner,
            missing_columns="insert" if schema else "raise",
            extra_columns="ignore" if schema else "raise",
        )
        return frame.select(list(schema)) if schema else frame.drop(above)


def _hash_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hash_file(handle)
