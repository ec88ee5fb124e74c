"""The kinds of bad rows: how each is made from a good row, and what must become of it.

A reason is the code under which the pipeline quarantines the row. A row has exactly one fault.
Kinds that a format can't express (a ragged line of Parquet) are left out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recsys_pipeline.generator.writers import Row, encode_row
from recsys_pipeline.schemas.landing import (
    LINE_READABLE,
    PARKING_PROBLEMS,
    TIMESTAMP_NOT_FUTURE,
    TIMESTAMP_RANGE,
    TIMESTAMP_READABLE,
    UPDATED_AT_READABLE,
)
from recsys_pipeline.schemas.quarantine import DUPLICATE, REJECTED

if TYPE_CHECKING:
    from recsys_pipeline.generator.config import FileFormat, GeneratorConfig

Edit = Callable[[Row, np.random.Generator], Row | bytes]
Table = Literal["interactions", "items"]

# columns that a catalogue has only for their faults; empty on good rows, so defaults hold
ITEM_EXTRAS = ("updated_at", "available")
_BEFORE_1970 = "1969-12-31T23:59:59.000000Z"
_AFTER_2261 = ("2262-01-01T00:00:00.000000Z", "2345-06-07T08:09:10.000000Z")
# whenever the file is received, this is later
_FUTURE = "2200-01-01T12:00:00.000000Z"
_NOT_UTF8 = b"\xff\xfe"
_MARK = "\ue000"


@dataclass(frozen=True)
class Fault:
    """A kind of bad row.

    Attributes:
        kind: Its name in the key file.
        reason: Reason code in quarantine.
        edit: Makes the bad row, or the bytes of its line, from a copy of a good row.
    """

    kind: str
    reason: str
    edit: Edit

    @property
    def outcome(self) -> str:
        """`rejected` or `duplicate`."""
        return DUPLICATE if self.reason == DUPLICATE else REJECTED

    @property
    def parked(self) -> bool:
        """Whether the row's day can't be known, so that it lands under the day of receipt."""
        return self.reason in PARKING_PROBLEMS


def faults(table: Table, config: GeneratorConfig) -> tuple[Fault, ...]:
    """Return the kinds that a file of this table and configuration can have."""
    file_format = config.file_format
    own = _interaction_faults(config) if table == "interactions" else _item_faults(file_format)
    id_column = "user_id" if table == "interactions" else "item_id"
    return (*own, *_line_faults(file_format, id_column))


def open_quote(table: Table, config: GeneratorConfig) -> Fault | None:
    """Return the fault of a file torn within a quoted cell: a CSV's last line, or None.

    Elsewhere in a file an open quote swallows good lines in a reader that allows line breaks in
    cells, and the fault would no longer be one row's.
    """
    if config.file_format != "csv":
        return None
    column = "timestamp" if table == "interactions" else "title"

    def tear(row: Row, _: np.random.Generator) -> bytes:
        names = list(row)
        before = {name: row[name] for name in names[: names.index(column)]}
        return encode_row(before, "csv") + b',"' + str(row[column])[:8].encode()

    return Fault("line.open_quote", LINE_READABLE, tear)


def _set(column: str, *values: Any) -> Edit:  # noqa: ANN401  # a cell of any type
    def edit(row: Row, rng: np.random.Generator) -> Row:
        return {**row, column: values[int(rng.integers(len(values)))]}

    return edit


def _spoil(column: str, *parts: str) -> Edit:
    """Insert one of the parts after the first character."""

    def edit(row: Row, rng: np.random.Generator) -> Row:
        text = str(row[column])
        return {**row, column: text[:1] + parts[int(rng.integers(len(parts)))] + text[1:]}

    return edit


def _too_long(column: str, limit: int) -> Fault:
    def edit(row: Row, rng: np.random.Generator) -> Row:
        return {**row, column: "x" * (limit + 1 + int(rng.integers(50)))}

    return Fault(f"{column}.too_long", f"{column}.length", edit)


def _missing(column: str) -> Fault:
    return Fault(f"{column}.missing", f"{column}.required", _set(column, None))


def _id_faults(column: str, *, required: bool = True) -> tuple[Fault, ...]:
    return (
        *([_missing(column)] if required else []),
        _too_long(column, 255),
        Fault(f"{column}.control_character", f"{column}.form", _spoil(column, "\x00", "\x07")),
    )


def _number_faults(
    column: str, file_format: FileFormat, below: float, above: float
) -> tuple[Fault, ...]:
    reason = f"{column}.range"
    found = [
        Fault(f"{column}.too_low", reason, _set(column, below)),
        Fault(f"{column}.too_high", reason, _set(column, above)),
    ]
    if file_format != "jsonl":  # JSON has no such numbers
        nan, infinity = ("NaN", "inf") if file_format == "csv" else (np.nan, np.inf)
        found += [
            Fault(f"{column}.not_a_number", reason, _set(column, nan)),
            Fault(f"{column}.infinite", reason, _set(column, infinity)),
        ]
    if file_format != "parquet":
        unreadable = _set(column, "n/a?", "five", "1.2.3")
        found.append(Fault(f"{column}.unreadable", f"{column}.readable", unreadable))
    return tuple(found)


def _time_faults(column: str) -> tuple[Fault, ...]:
    return (
        Fault(f"{column}.before_1970", TIMESTAMP_RANGE, _set(column, _BEFORE_1970)),
        Fault(f"{column}.after_2261", TIMESTAMP_RANGE, _set(column, *_AFTER_2261)),
        Fault(f"{column}.future", TIMESTAMP_NOT_FUTURE, _set(column, _FUTURE)),
    )


def _without_type(row: Row, _: np.random.Generator) -> Row:
    # a rating alone is a valid event: its height says whether it is a like or a view
    return {**row, "interaction_type": None, "rating": None}


def _interaction_faults(config: GeneratorConfig) -> tuple[Fault, ...]:
    found = [
        *_id_faults("user_id"),
        *_id_faults("item_id"),
        Fault("interaction_type.missing", "interaction_type.required", _without_type),
        Fault(
            "interaction_type.unknown",
            "interaction_type.allowed",
            _set("interaction_type", "wishlist", "VIEWED", "share"),
        ),
        *_number_faults("rating", config.file_format, -1.0, 6.0),
        Fault("timestamp.missing", TIMESTAMP_READABLE, _set("timestamp", None)),
        *_time_faults("timestamp"),
        Fault("duplicate.exact", DUPLICATE, lambda row, _: row),
    ]
    if config.file_format != "parquet":
        found.append(
            Fault(
                "timestamp.unreadable",
                TIMESTAMP_READABLE,
                _set("timestamp", "yesterday", "2025-02-30T10:00:00Z", "31/31/2025"),
            )
        )
    if config.event_ids:
        found += [
            *_id_faults("event_id", required=False),
            Fault("duplicate.event_id", DUPLICATE, _set("rating", 1.0, 3.5)),
        ]
    else:
        # the context is not part of what makes a repeat
        found.append(Fault("duplicate.other_context", DUPLICATE, _set("device", "kiosk")))
    return tuple(found)


def _item_faults(file_format: FileFormat) -> tuple[Fault, ...]:
    found = [
        *_id_faults("item_id"),
        _missing("title"),
        _too_long("title", 500),
        _missing("category"),
        _too_long("category", 100),
        *_number_faults("price", file_format, -5.0, 2e12),
        _too_long("brand", 200),
        _too_long("description", 10_000),
        *_time_faults("updated_at"),
        Fault("duplicate.exact", DUPLICATE, lambda row, _: row),
    ]
    if file_format != "parquet":
        found += [
            Fault("updated_at.unreadable", UPDATED_AT_READABLE, _set("updated_at", "last week")),
            Fault("available.unreadable", "available.readable", _set("available", "perhaps")),
        ]
    return tuple(found)


def _line_faults(file_format: FileFormat, id_column: str) -> tuple[Fault, ...]:
    if file_format == "parquet":
        return ()

    def not_utf8(row: Row, _: np.random.Generator) -> bytes:
        spoilt = {**row, id_column: f"{row[id_column]}{_MARK}"}
        return encode_row(spoilt, file_format).replace(_MARK.encode(), _NOT_UTF8)

    def too_many(row: Row, _: np.random.Generator) -> bytes:
        return encode_row(row, "csv") + b",surplus"

    def too_few(row: Row, _: np.random.Generator) -> bytes:
        return encode_row({name: row[name] for name in list(row)[:2]}, "csv")

    def torn(row: Row, rng: np.random.Generator) -> bytes:
        line = encode_row(row, "jsonl")
        return line[: int(rng.integers(5, len(line) - 1))]

    def no_object(row: Row, _: np.random.Generator) -> bytes:
        return f'["{row[id_column]}"]'.encode()

    edits: dict[str, Edit] = {"not_utf8": not_utf8}
    if file_format == "csv":
        edits |= {"too_many_cells": too_many, "too_few_cells": too_few}
    else:
        edits |= {"torn": torn, "no_object": no_object}
    return tuple(Fault(f"line.{name}", LINE_READABLE, edit) for name, edit in edits.items())
