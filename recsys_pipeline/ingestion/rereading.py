"""Landed rows read again from what is kept of them.

A row that could not be read has its source's fields in `raw`. One that a rule rejected has its typed
columns alone, of which a mapping decides the event word. A message of no acceptable tenant is kept whole.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.ingestion.batch_records import load_record, record_path
from recsys_pipeline.ingestion.mapping import DEFAULT_NAME, Mapping, load_mapping
from recsys_pipeline.ingestion.messages import MessageRows, MessageSource
from recsys_pipeline.ingestion.normalise import SCHEMAS, Receipt, normalise
from recsys_pipeline.ingestion.readers.block import Block, unreadable_frame
from recsys_pipeline.ingestion.readers.objects import object_blocks
from recsys_pipeline.schemas.landing import LINE_READABLE, TENANT_AGREES
from recsys_pipeline.storage.delta_files import STREAMED
from recsys_pipeline.tenants import UNASSIGNED, tenant_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.erased import Erased
    from recsys_pipeline.storage.landing import Landing

AT = "_at"  # number of a row in what is read again
NOWHERE = pl.Series("item_id", [], dtype=pl.String)
_RECEIPT = ["batch_id", "source", "received_at"]
_TOPIC = "kafka:"


class Rereader:
    """Reads rows of one tenant again.

    Args:
        settings: Tenants, start date and topics.
        landing: The table.
        mapping: Name of the mapping; None means, for each batch, the one that it landed under, and the
            tenant's where it landed under none.
        erased: The erased users of all tenants, whose rows stay empty.
    """

    def __init__(
        self, settings: Settings, landing: Landing, mapping: str | None, erased: Erased
    ) -> None:
        self._settings = settings
        self._landing = landing
        self._given = mapping
        self._erased = erased
        self._schema = SCHEMAS[landing.kind]
        self._mappings: dict[tuple[str, str], Mapping] = {}

    @property
    def mappings(self) -> list[str]:
        """Names of the mappings that were used."""
        return sorted({mapping.name for mapping in self._mappings.values()})

    def read(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Read rows again.

        Args:
            rows: Rejected rows of the landing schema, and their numbers in `AT`.

        Returns:
            The same columns, of the rows of which there is something to read; they may be as bad as
            before. Batch, position, source and time of receipt are as they were.
        """
        frames = [rows.clear()]
        whose = pl.col("tenant") == UNASSIGNED
        unread = pl.col("problem").is_not_null()
        # the header that contradicted a message's field is not kept: nobody can judge it again
        lost = pl.col("raw").is_null() | pl.col("problem").is_in([LINE_READABLE, TENANT_AGREES])
        frames += self._messages(rows.filter(whose & unread & ~lost))
        frames += self._fields(rows.filter(~whose & unread & ~lost))
        frames += self._words(rows.filter(~whose & ~unread))
        return pl.concat(frames)

    def _mapping(self, tenant: str, batch_id: str) -> Mapping:
        if (tenant, batch_id) not in self._mappings:
            name = self._given or self._landed_under(tenant, batch_id)
            self._mappings[tenant, batch_id] = load_mapping(name, self._landing.kind)
        return self._mappings[tenant, batch_id]

    def _landed_under(self, tenant: str, batch_id: str) -> str | None:
        kind = self._landing.kind
        record = (
            None
            if batch_id.startswith(STREAMED)
            else load_record(self._landing, record_path(kind, tenant, batch_id))
        )
        if record is not None and record.mapping not in {None, DEFAULT_NAME}:
            return record.mapping
        return tenant_config(self._settings, tenant).mapping

    def _fields(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        for key, part in rows.group_by("tenant", *_RECEIPT):
            tenant, batch_id, source, received_at = key
            receipt = Receipt(
                tenant=str(tenant),
                batch_id=str(batch_id),
                source=str(source),
                received_at=_utc(received_at),
                as_of=None,
                start_date=self._settings.start_date,
                known_items=NOWHERE,
                erased=self._erased.of(str(tenant)),
            )
            mapping = self._mapping(str(tenant), str(batch_id))
            texts = [text.encode() for text in part["raw"]]
            for block in object_blocks(texts, part[AT].to_list(), 0):
                if block.rows.width:
                    readable = Block(
                        block.rows,
                        block.positions,
                        unreadable_frame([]),
                        complete=False,
                        consumed=0,
                    )
                    read = self._placed(normalise(readable, mapping, receipt), part)
                    yield self._on_their_days(read, part)

    def _words(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        if self._landing.kind != "interactions":
            return
        for (tenant, batch_id), part in rows.group_by("tenant", "batch_id"):
            mapping = self._mapping(str(tenant), str(batch_id))
            word = pl.col("interaction_type").replace(mapping.event_types)
            if "interaction_type" in mapping.constants:
                word = pl.lit(str(mapping.constants["interaction_type"]))
            yield part.with_columns(word.alias("interaction_type"))

    def _messages(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        for (batch_id, source, received_at), part in rows.group_by(*_RECEIPT):
            topic = str(source).removeprefix(_TOPIC).rpartition("/")[0]
            messages = MessageSource(
                kind=self._landing.kind,
                batch_id=str(batch_id),
                source=str(source),
                received_at=_utc(received_at),
                start_date=self._settings.start_date,
                allowed=self._settings.kafka_topic_tenants.get(topic),
            )
            reader = MessageRows(self._settings, messages, self._known_items, self._erased)
            texts = [text.encode() for text in part["raw"]]
            read = reader.rows(texts, part[AT].to_list(), [None] * len(texts))
            yield self._placed(read, part)

    def _known_items(self, tenant: str) -> pl.Series:
        rows = self._landing.snapshot().scan(tenants=[tenant])
        ids = rows.select(pl.col("item_id").drop_nulls().unique())
        return ids.collect(engine="streaming")["item_id"]

    def _placed(self, read: pl.DataFrame, part: pl.DataFrame) -> pl.DataFrame:
        """Give rows, read with their numbers for positions, the positions that they had."""
        numbered = read.rename({"position": AT}).with_columns(pl.col(AT).cast(pl.UInt32))
        placed = numbered.join(part.select(AT, "position"), on=AT, how="left")
        return placed.select(part.columns)

    def _on_their_days(self, read: pl.DataFrame, part: pl.DataFrame) -> pl.DataFrame:
        """Leave an item version without a time on its day: how its file landed is not kept."""
        if self._landing.kind != "items":
            return read
        days = part.select(AT, pl.col("date").alias("_day"))
        untimed = pl.col("updated_at").is_null()
        return (
            read.join(days, on=AT, how="left")
            .with_columns(pl.when(untimed).then("_day").otherwise("date").alias("date"))
            .select(part.columns)
        )


def _utc(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(value)
    return value.astimezone(UTC)
