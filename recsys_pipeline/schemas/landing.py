"""Contracts of the landing zone: rows as received, typed where they could be read.

A landed row is never dropped. What could not be read is told in `problem` (a reason code as in
quarantine), and `raw` then holds the row's text. A row whose day can't be known is *parked*
under the day on which it was received. A message of no acceptable tenant is parked under the
tenant `unassigned`, so that nobody finds another's rows among its own.
"""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from recsys_pipeline.schemas.keys import UtcTime, date_field, tenant_field

LINE_READABLE = "line.readable"
TIMESTAMP_READABLE = "timestamp.readable"
TIMESTAMP_RANGE = "timestamp.range"
TIMESTAMP_NOT_FUTURE = "timestamp.not_future"
UPDATED_AT_READABLE = "updated_at.readable"
USER_ERASED = "user_id.erased"
TENANT_PRESENT = "tenant.present"
TENANT_AGREES = "tenant.agrees"
TENANT_FORM = "tenant.form"
TENANT_KNOWN = "tenant.known"
TENANT_ALLOWED = "tenant.allowed"
PARKING_PROBLEMS = (
    LINE_READABLE,
    TIMESTAMP_READABLE,
    TIMESTAMP_RANGE,
    TIMESTAMP_NOT_FUTURE,
    UPDATED_AT_READABLE,
    TENANT_PRESENT,
    TENANT_AGREES,
    TENANT_FORM,
    TENANT_KNOWN,
    TENANT_ALLOWED,
)

PROBLEM_WORDS = {
    LINE_READABLE: "must be a readable line",
    TIMESTAMP_READABLE: "must be a readable time",
    TIMESTAMP_RANGE: "must be from 1970 to 2261",
    TIMESTAMP_NOT_FUTURE: "must not be more than 5 minutes after its receipt",
    "rating.readable": "must be a number",
    "price.readable": "must be a number",
    "available.readable": "must be true or false",
    UPDATED_AT_READABLE: "must be a readable time",
    USER_ERASED: "must not be of a user who was erased",
    TENANT_PRESENT: "must name its tenant, in the field or the header `tenant`",
    TENANT_AGREES: "must name the same tenant in the field and in the header",
    TENANT_FORM: "must have the form of a tenant's name",
    TENANT_KNOWN: "must be a tenant of `tenants.toml`",
    TENANT_ALLOWED: "must be a tenant of its topic",
}


class _Received(pa.DataFrameModel):
    received_at: UtcTime = pa.Field(description="Time of receipt, UTC.")
    batch_id: pl.String = pa.Field(description="Upload, file or Kafka range that brought the row.")
    position: pl.Int64 = pa.Field(description="Line, row or offset within its source.")
    source: pl.String = pa.Field(description="Where it came from, e.g. `file:events.csv`.")
    problem: pl.String = pa.Field(
        nullable=True, description="Reason code of what could not be read; null when all could."
    )
    raw: pl.String = pa.Field(
        nullable=True, description="The row's text where `problem` is set (first 64 KiB)."
    )
    parked: pl.Boolean = pa.Field(
        description="True when the event's day is unknown and `date` is the day of receipt."
    )
    revision: pl.Int64 = pa.Field(
        nullable=True,
        description="Number of the replay that read the row anew; null as it was received.",
    )


class LandedInteraction(_Received):
    """A received event: the fields of `Interaction`, all but the keys nullable."""

    date: pl.Date = date_field("UTC event day, or day of receipt when parked; a hive level.")
    tenant: pl.String = tenant_field()
    user_id: pl.String = pa.Field(nullable=True, description="As received.")
    item_id: pl.String = pa.Field(nullable=True, description="As received.")
    interaction_type: pl.String = pa.Field(
        nullable=True, description="After the mapping's event words."
    )
    timestamp: UtcTime = pa.Field(nullable=True, description="Time of the event, UTC.")
    rating: pl.Float64 = pa.Field(nullable=True, description="As received.")
    event_id: pl.String = pa.Field(nullable=True, description="As received.")
    context: pl.String = pa.Field(nullable=True, description="Further columns as a JSON object.")


class LandedItem(_Received):
    """A received item version: the fields of `Item`, all but the keys nullable."""

    date: pl.Date = date_field("UTC day of the version; a hive level.")
    tenant: pl.String = tenant_field()
    item_id: pl.String = pa.Field(nullable=True, description="As received.")
    title: pl.String = pa.Field(nullable=True, description="As received.")
    category: pl.String = pa.Field(nullable=True, description="As received.")
    price: pl.Float64 = pa.Field(nullable=True, description="As received.")
    brand: pl.String = pa.Field(nullable=True, description="As received.")
    updated_at: UtcTime = pa.Field(nullable=True, description="As received.")
    description: pl.String = pa.Field(nullable=True, description="As received.")
    available: pl.Boolean = pa.Field(nullable=True, description="True unless withdrawn.")
    attributes: pl.String = pa.Field(nullable=True, description="Further columns as JSON.")


RECEIPT_COLUMNS = tuple(_Received.to_schema().columns)
