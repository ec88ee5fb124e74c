"""Items that a snapshot of a catalogue no longer has."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.keys import UTC_TIME
from recsys_pipeline.schemas.landing import LINE_READABLE, LandedItem
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.transforms.catalogue import catalogue_as_of
from recsys_pipeline.transforms.validation import split

if TYPE_CHECKING:
    from recsys_pipeline.ingestion.normalise import Receipt
    from recsys_pipeline.tenants import TenantConfig


class Withdrawals:
    """Compares a file's items with the tenant's catalogue.

    Args:
        landed: The tenant's landed items.
        config: The tenant.
        day: Day from which absent items are withdrawn.

    Attributes:
        count: Items withdrawn.
        notices: What the user should know.
    """

    def __init__(self, landed: pl.LazyFrame, config: TenantConfig, day: date) -> None:
        categories = {config.name: config.categories} if config.categories is not None else None
        valid = split(landed.collect(engine="streaming"), "items", categories).valid
        self._available = catalogue_as_of(valid.lazy(), day).filter("available").collect()
        self._day = day
        self._seen: set[str] = set()
        self._unknown = 0
        self._position = 0
        self.count = 0
        self.notices: list[str] = []

    def see(self, rows: pl.DataFrame) -> None:
        """Note the items of landed rows of the file."""
        self._seen.update(rows["item_id"].drop_nulls())
        self._unknown += int((rows["item_id"].is_null() | (rows["problem"] == LINE_READABLE)).sum())
        last = rows["position"].max()
        self._position = max(self._position, last) if isinstance(last, int) else self._position

    def rows(self, receipt: Receipt) -> pl.DataFrame:
        """Return a version of each absent item with its latest fields and `available` false.

        None where some row of the file has no readable item id: it could be any item.
        """
        schema = frame_schema(LandedItem)
        absent = self._available.filter(~pl.col("item_id").is_in(sorted(self._seen)))
        if not self._seen or self._unknown:
            self.notices.append(
                f"no item was withdrawn, because {self._unknown:,} rows have no readable item id"
                if self._unknown
                else "no item was withdrawn, because the file has no item"
            )
            return pl.DataFrame(schema=schema)
        self.count = absent.height
        end = datetime.combine(self._day, time.max, tzinfo=UTC)
        # later than the version that it ends, where versions have times
        ended = pl.lit(min(receipt.received_at, end)).cast(UTC_TIME)
        return absent.with_columns(
            pl.lit(self._day).alias("date"),
            pl.when(pl.col("updated_at").is_not_null()).then(ended).alias("updated_at"),
            pl.lit(False).alias("available"),  # noqa: FBT003  # polars' own signature
            pl.lit(receipt.received_at).cast(UTC_TIME).alias("received_at"),
            pl.lit(receipt.batch_id).alias("batch_id"),
            pl.int_range(self._position + 1, self._position + 1 + pl.len()).alias("position"),
            pl.lit(receipt.source).alias("source"),
            pl.lit(None, dtype=pl.String).alias("problem"),
            pl.lit(None, dtype=pl.String).alias("raw"),
            pl.lit(False).alias("parked"),  # noqa: FBT003  # polars' own signature
            pl.lit(None, dtype=pl.Int64).alias("revision"),
        ).select(pl.col(name).cast(dtype) for name, dtype in schema.items())
