"""Blocks of a file as rows of the landing zone.

Nothing is judged here but what could not be read: unknown event types, ratings out of range and
long ids land as they are, and validation rejects them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.ingestion.blanking import blanked
from recsys_pipeline.ingestion.json_text import json_objects, merged
from recsys_pipeline.ingestion.readers.block import RAW_BYTES, cut
from recsys_pipeline.ingestion.times import read_times
from recsys_pipeline.schemas.bounds import FUTURE_TOLERANCE
from recsys_pipeline.schemas.keys import UTC_TIME
from recsys_pipeline.schemas.landing import (
    LINE_READABLE,
    TIMESTAMP_NOT_FUTURE,
    TIMESTAMP_RANGE,
    TIMESTAMP_READABLE,
    LandedInteraction,
    LandedItem,
)
from recsys_pipeline.schemas.rules import frame_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from recsys_pipeline.ingestion.mapping import Kind, Mapping
    from recsys_pipeline.ingestion.readers.block import Block
    from recsys_pipeline.storage.erased import Subjects

SCHEMAS: dict[Kind, pl.Schema] = {
    "interactions": frame_schema(LandedInteraction),
    "items": frame_schema(LandedItem),
}
FURTHER: dict[Kind, str] = {"interactions": "context", "items": "attributes"}

_TIME: dict[Kind, str] = {"interactions": "timestamp", "items": "updated_at"}
_TRUE = ("true", "1", "yes", "t", "y")
_FALSE = ("false", "0", "no", "f", "n")


@dataclass(frozen=True)
class Receipt:
    """What is the same for every row of a batch.

    Attributes:
        tenant: Owner of the rows.
        batch_id: The batch.
        source: Where the rows came from, e.g. `file:events.csv`.
        received_at: Time of receipt, UTC.
        as_of: Day of item versions that have no time of their own; None means `start_date` for
            an item never landed before, and the day of receipt for a known one.
        start_date: First day of the pipeline.
        known_items: Item ids landed before, for items.
        erased: The tenant's erased users, whose rows land empty; None where it has none.
    """

    tenant: str
    batch_id: str
    source: str
    received_at: datetime
    as_of: date | None
    start_date: date
    known_items: pl.Series
    erased: Subjects | None = None


def normalise(block: Block, mapping: Mapping, receipt: Receipt) -> pl.DataFrame:
    """Turn a block into rows of `LandedInteraction` or `LandedItem`, one per row or line.

    Texts of more than 64 KiB in typed columns are cut to it; the contract's length rule then
    rejects the row. An empty text is null.

    Args:
        block: Rows and unreadable lines of a file.
        mapping: Which column is which field, and how to read it.
        receipt: What is the same for all rows.

    Returns:
        Exactly the landing schema of the mapping's kind. `problem` is the first reason why a
        row could not be read, `raw` its fields as a JSON object or the line's text.
    """
    schema = SCHEMAS[mapping.kind]
    frames = []
    if block.rows.height:
        source = pl.DataFrame([_text(column) for column in block.rows.iter_columns()])
        fields, further = _fields(source, block.rows, mapping)
        typed = (
            _interactions(fields, mapping, receipt)
            if mapping.kind == "interactions"
            else _items(fields, mapping, receipt)
        )
        typed = typed.with_columns(
            further.alias(FURTHER[mapping.kind]),
            block.positions.alias("position"),
            _raw(source, typed["problem"]).alias("raw"),
        )
        frames.append(_received(typed, receipt, schema))
    if block.unreadable.height:
        lines = block.unreadable.with_columns(pl.lit(LINE_READABLE).alias("problem"))
        frames.append(parked_texts(lines, mapping.kind, receipt))
    if not frames:
        return pl.DataFrame(schema=schema)
    rows = pl.concat(frames)
    erased = receipt.erased if mapping.kind == "interactions" else None
    return rows if erased is None else blanked(rows, erased)


def parked_texts(lines: pl.DataFrame, kind: Kind, receipt: Receipt) -> pl.DataFrame:
    """Turn texts that are no row into rows of the landing schema, parked with their problem.

    Args:
        lines: Columns `position`, `text` (at most 64 KiB) and `problem`.
        kind: Table that they land in.
        receipt: What is the same for all of them.
    """
    rows = lines.select(
        "position",
        "problem",
        pl.col("text").alias("raw"),
        pl.lit(True).alias("parked"),  # noqa: FBT003  # polars' own signature
        pl.lit(receipt.received_at.date()).alias("date"),
    )
    return _received(rows, receipt, SCHEMAS[kind])


def _text(column: pl.Series) -> pl.Series:
    text = column.cast(pl.String)
    return text.set(text == "", None)


def _received(rows: pl.DataFrame, receipt: Receipt, schema: pl.Schema) -> pl.DataFrame:
    rows = rows.with_columns(
        pl.lit(receipt.tenant).alias("tenant"),
        pl.lit(receipt.batch_id).alias("batch_id"),
        pl.lit(receipt.source).alias("source"),
        pl.lit(receipt.received_at).cast(UTC_TIME).alias("received_at"),
    )
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None, dtype=dtype).alias(name))
        for name, dtype in schema.items()
    )


def _fields(
    source: pl.DataFrame, given: pl.DataFrame, mapping: Mapping
) -> tuple[pl.DataFrame, pl.Series]:
    """Return the contract's fields as texts, and the JSON object of what else there is."""
    located = mapping.locate(source.columns)
    own = FURTHER[mapping.kind]
    taken = {name for field, name in located.items() if field not in mapping.first_of}
    further = json_objects(source.drop(taken))
    if own in located:
        further = merged(source[located[own]], own, further)
    columns = []
    for field in mapping.fields:
        if field in mapping.constants:
            constant = mapping.constants[field]
            text = str(constant).lower() if isinstance(constant, bool) else str(constant)
            column = pl.Series([text]).new_from_index(0, source.height)
        elif field in mapping.first_flag:
            column = _first_flag(source, mapping.first_flag[field])
        elif field not in located:
            column = pl.Series([None], dtype=pl.String).new_from_index(0, source.height)
        elif field == _TIME[mapping.kind] and given[located[field]].dtype == pl.Datetime:
            column = given[located[field]]
        else:
            column = source[located[field]]
            if field in mapping.first_of:
                parts = column.str.splitn(mapping.first_of[field], 2)
                column = parts.struct.field("field_0")
            if field != own:
                column = _short(column)
        columns.append(column.alias(field))
    if own in mapping.constants:
        further = merged(columns[mapping.fields.index(own)], own, further)
    return pl.DataFrame(columns).drop(own), further


def _first_flag(source: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    there = [name for name in names if name in source.columns]
    flags = [pl.when(pl.col(name).str.strip_chars() == "1").then(pl.lit(name)) for name in there]
    return source.select(pl.coalesce(*flags, pl.lit(None, pl.String)).alias("flag"))["flag"]


def _short(column: pl.Series) -> pl.Series:
    sizes = column.str.len_bytes()
    largest = sizes.max()
    if not isinstance(largest, int) or largest <= RAW_BYTES:
        return column
    long = (sizes > RAW_BYTES).fill_null(False)  # noqa: FBT003  # polars' own signature
    return column.scatter(long.arg_true(), [cut(text) for text in column.filter(long)])


def _raw(source: pl.DataFrame, problem: pl.Series) -> pl.Series:
    wrong = problem.is_not_null()
    raw = pl.Series([None], dtype=pl.String).new_from_index(0, source.height)
    if not wrong.any():
        return raw
    texts = json_objects(source.filter(wrong)).fill_null("{}")
    return raw.scatter(wrong.arg_true(), _short(texts))


def _number(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().cast(pl.Float64, strict=False)


def _unread(name: str, value: pl.Expr) -> pl.Expr:
    """Return the problem of a text that has no value."""
    wrong = pl.col(name).is_not_null() & value.is_null()
    return pl.when(wrong).then(pl.lit(f"{name}.readable"))


def _day_known(
    fields: pl.DataFrame, mapping: Mapping, receipt: Receipt
) -> tuple[pl.Series, pl.Series]:
    """Read the time that decides a row's day.

    Returns:
        The times, and for each the reason why its day is unknown, or null.
    """
    name = _TIME[mapping.kind]
    times, outside = read_times(fields[name], mapping.timestamp.form, mapping.timestamp.timezone)
    frame = pl.DataFrame({"time": times, "outside": outside, "text": fields[name]})
    latest = pl.lit(receipt.received_at + FUTURE_TOLERANCE).cast(UTC_TIME)
    unreadable = pl.col("time").is_null()
    if mapping.kind == "items":  # a version need not have a time
        unreadable &= pl.col("text").is_not_null()
    reason = TIMESTAMP_READABLE if mapping.kind == "interactions" else f"{name}.readable"
    problem = (
        pl.when("outside")
        .then(pl.lit(TIMESTAMP_RANGE))
        .when(unreadable)
        .then(pl.lit(reason))
        .when(pl.col("time") > latest)
        .then(pl.lit(TIMESTAMP_NOT_FUTURE))
    )
    return times, frame.select(problem.alias("problem")).to_series()


def _interactions(fields: pl.DataFrame, mapping: Mapping, receipt: Receipt) -> pl.DataFrame:
    times, parking = _day_known(fields, mapping, receipt)
    rating = _number("rating")
    word = pl.col("interaction_type")
    if mapping.event_types:
        word = word.replace(mapping.event_types)
    rated = word.is_null() & rating.is_not_nan().fill_null(False)  # noqa: FBT003
    liked = rating >= mapping.ratings.like_threshold
    kind = (
        pl.when(rated & liked).then(pl.lit("like")).when(rated).then(pl.lit("view")).otherwise(word)
    )
    received = receipt.received_at.date()
    return fields.with_columns(times.alias("_time"), parking.alias("_parking")).select(
        "user_id",
        "item_id",
        "event_id",
        kind.alias("interaction_type"),
        pl.col("_time").alias("timestamp"),
        rating.alias("rating"),
        pl.coalesce("_parking", _unread("rating", rating)).alias("problem"),
        pl.col("_parking").is_not_null().alias("parked"),
        pl.when(pl.col("_parking").is_null())
        .then(pl.col("_time").dt.date())
        .otherwise(pl.lit(received))
        .alias("date"),
    )


def _items(fields: pl.DataFrame, mapping: Mapping, receipt: Receipt) -> pl.DataFrame:
    times, parking = _day_known(fields, mapping, receipt)
    price = _number("price")
    word = pl.col("available").str.strip_chars().str.to_lowercase()
    available = pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False)  # noqa: FBT003
    received = pl.lit(receipt.received_at.date())
    if receipt.as_of is not None:
        untimed = pl.lit(receipt.as_of)
    else:
        known = pl.col("item_id").is_in(receipt.known_items.implode())
        untimed = pl.when(known).then(received).otherwise(pl.lit(receipt.start_date))
    return fields.with_columns(times.alias("_time"), parking.alias("_parking")).select(
        "item_id",
        "title",
        "category",
        "brand",
        "description",
        price.alias("price"),
        pl.col("_time").alias("updated_at"),
        pl.when(pl.col("available").is_null())
        .then(True)  # noqa: FBT003  # polars' own signature
        .otherwise(available)
        .alias("available"),
        pl.coalesce("_parking", _unread("price", price), _unread("available", available)).alias(
            "problem"
        ),
        pl.col("_parking").is_not_null().alias("parked"),
        pl.when(pl.col("_parking").is_not_null())
        .then(received)
        .otherwise(pl.coalesce(pl.col("_time").dt.date(), untimed))
        .alias("date"),
    )
