"""Messages of a topic as rows of the landing zone.

A message is one JSON object: the fields of the contract, and its tenant in the field or the header
`tenant`. Each tenant's mapping is applied as for its files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.errors import TenantError
from recsys_pipeline.ingestion.blanking import blanked
from recsys_pipeline.ingestion.mapping import load_mapping
from recsys_pipeline.ingestion.normalise import SCHEMAS, Receipt, normalise, parked_texts
from recsys_pipeline.ingestion.readers.block import Block, text_of, unreadable_frame
from recsys_pipeline.ingestion.readers.objects import object_blocks
from recsys_pipeline.schemas.landing import (
    LINE_READABLE,
    TENANT_AGREES,
    TENANT_ALLOWED,
    TENANT_FORM,
    TENANT_KNOWN,
    TENANT_PRESENT,
)
from recsys_pipeline.tenants import UNASSIGNED, free_name, overrides, tenant_config

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import date, datetime

    from recsys_pipeline.ingestion.mapping import Mapping
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.erased import Erased
    from recsys_pipeline.storage.landing import Kind

TENANT = "tenant"


@dataclass(frozen=True)
class MessageSource:
    """What is the same for all messages of a partition.

    Attributes:
        kind: Table that they land in.
        batch_id: The partition's identity, topic id and cluster included.
        source: What quarantine shows, e.g. `kafka:interactions-raw/3`.
        received_at: Time of receipt, UTC.
        start_date: First day of the pipeline.
        allowed: Tenants that the topic may bring; None means all.
    """

    kind: Kind
    batch_id: str
    source: str
    received_at: datetime
    start_date: date
    allowed: Collection[str] | None = None


class MessageRows:
    """Turns messages into landing rows, reading each tenant's configuration once.

    Args:
        settings: The tenants and their mappings.
        source: What is the same for all messages.
        known_items: Returns the ids of a tenant's landed items; asked for items alone.
        erased: The erased users of all tenants.
    """

    def __init__(
        self,
        settings: Settings,
        source: MessageSource,
        known_items: Callable[[str], pl.Series],
        erased: Erased,
    ) -> None:
        self._settings = settings
        self._erased = erased
        self._source = source
        self._known_items = known_items
        self._tenants: dict[str, tuple[Mapping, Receipt] | str] = {}

    def rows(
        self, texts: Sequence[bytes], offsets: Sequence[int], headers: Sequence[str | None]
    ) -> pl.DataFrame:
        """Return one landing row per message, in no particular order.

        Args:
            texts: The values of the messages; empty where a message has none.
            offsets: Their offsets.
            headers: The tenant that each message's header names, or None.
        """
        frames = [pl.DataFrame(schema=SCHEMAS[self._source.kind])]
        at = pl.Series("position", offsets, dtype=pl.Int64)
        for block in object_blocks(texts, range(len(texts)), 0):
            lines = block.unreadable.with_columns(pl.lit(LINE_READABLE).alias("problem"))
            if block.rows.height:
                who = self._owners(block, headers)
                lines = pl.concat([lines, _refused(who, texts)])
                frames += self._accepted(block.rows, who, at)
            if lines.height:
                placed = lines.with_columns(at.gather(lines["position"]))
                parked = parked_texts(placed, self._source.kind, self._receipt(UNASSIGNED))
                frames.append(self._blanked(parked))
        return pl.concat(frames)

    def _blanked(self, parked: pl.DataFrame) -> pl.DataFrame:
        """Empty the texts that name an erased user of any tenant: they could be of each."""
        if self._source.kind == "interactions":
            for tenant in self._erased.tenants:
                if (erased := self._erased.of(tenant)) is not None:
                    parked = blanked(parked, erased)
        return parked

    def _owners(self, block: Block, headers: Sequence[str | None]) -> pl.DataFrame:
        """Return `number`, `name` and `problem` of each row: whose it is, or why nobody's."""
        absent = pl.Series([None], dtype=pl.String).new_from_index(0, block.rows.height)
        field = block.rows[TENANT] if TENANT in block.rows.columns else absent
        field = field.set(field == "", None)
        sent = pl.Series(headers, dtype=pl.String).gather(block.positions)
        who = pl.DataFrame(
            [block.positions.alias("number"), field.alias("field"), sent.alias("header")]
        ).with_columns(pl.coalesce("field", "header").alias("name"))
        names = who["name"].unique().to_list()
        problems = {name: found for name in names if isinstance(found := self._tenant(name), str)}
        return who.select(
            "number",
            "name",
            pl.when(pl.col("field") != pl.col("header"))
            .then(pl.lit(TENANT_AGREES))
            .when(pl.col("name").is_null())
            .then(pl.lit(TENANT_PRESENT))
            .otherwise(
                pl.col("name").replace_strict(problems, default=None, return_dtype=pl.String)
            )
            .alias("problem"),
        )

    def _accepted(self, rows: pl.DataFrame, who: pl.DataFrame, at: pl.Series) -> list[pl.DataFrame]:
        own = rows.drop(TENANT, strict=False)
        if not own.width:  # objects of a tenant and nothing else
            own = pl.DataFrame({"item_id": [None] * rows.height}, schema={"item_id": pl.String})
        kept = pl.col("problem").is_null()
        frames: list[pl.DataFrame] = []
        for (name,), part in who.with_row_index("row").filter(kept).group_by("name"):
            found = self._tenant(str(name))
            if isinstance(found, str):
                continue  # it has a problem, and no row of it is kept
            mapping, receipt = found
            mine = own if part.height == own.height else own[part["row"]]
            nothing = unreadable_frame([])
            block = Block(mine, at.gather(part["number"]), nothing, complete=False, consumed=0)
            frames.append(normalise(block, mapping, receipt))
        return frames

    def _tenant(self, name: str | None) -> tuple[Mapping, Receipt] | str:
        """Return how a tenant's messages are read, or the problem of its name."""
        if name is None:
            return TENANT_PRESENT
        if name not in self._tenants:
            self._tenants[name] = self._resolve(name)
        return self._tenants[name]

    def _resolve(self, name: str) -> tuple[Mapping, Receipt] | str:
        source = self._source
        try:
            free_name(name)
        except TenantError:
            return TENANT_FORM
        if source.allowed is not None and name not in source.allowed:
            return TENANT_ALLOWED
        # a tenants.toml or mapping that can't be read is no fault of the message: it stops the
        # landing, and nothing is lost
        if not self._settings.auto_tenants and name not in overrides(self._settings):
            return TENANT_KNOWN
        config = tenant_config(self._settings, name)
        receipt = self._receipt(name)
        if source.kind == "items":
            receipt = replace(receipt, known_items=self._known_items(name))
        return load_mapping(config.mapping, source.kind), receipt

    def _receipt(self, tenant: str) -> Receipt:
        source = self._source
        return Receipt(
            tenant=tenant,
            batch_id=source.batch_id,
            source=source.source,
            received_at=source.received_at,
            as_of=None,
            start_date=source.start_date,
            known_items=pl.Series("item_id", [], dtype=pl.String),
            erased=self._erased.of(tenant),
        )


def _refused(who: pl.DataFrame, texts: Sequence[bytes]) -> pl.DataFrame:
    """Return the messages that have a problem, as `position`, `text` and `problem`."""
    bad = who.filter(pl.col("problem").is_not_null())
    lines = unreadable_frame([(n, texts[n]) for n in bad["number"]])
    return lines.with_columns(bad["problem"])


def header_tenant(headers: Collection[tuple[str, bytes | str | None]]) -> str | None:
    """Return the tenant that a message's headers name; the last one counts."""
    for name, value in reversed(list(headers)):
        if name == TENANT and value:
            return text_of(value) if isinstance(value, bytes) else value
    return None
