"""Types that several contracts share."""

from __future__ import annotations

from typing import Annotated, Any

import pandera.polars as pa
import polars as pl

from recsys_pipeline.schemas.bounds import EARLIEST, LATEST
from recsys_pipeline.tenants import TENANT_PATTERN

UtcTime = Annotated[pl.Datetime, "us", "UTC"]
UTC_TIME = pl.Datetime("us", "UTC")

# an id is printable: NUL and line breaks in ids are the marks of a torn file
ID_PATTERN = r"^[^\x00-\x1f\x7f]+$"


def tenant_field() -> Any:  # noqa: ANN401  # pandera's Field returns Any
    """Return the tenant column, a hive level of every table."""
    return pa.Field(str_matches=TENANT_PATTERN, description="Owner of the row; a hive level.")


def date_field(description: str = "UTC day of the row; a hive level.") -> Any:  # noqa: ANN401
    """Return the date column, a hive level of every table."""
    return pa.Field(description=description)


def id_field(description: str, *, nullable: bool = False) -> Any:  # noqa: ANN401
    """Return an id column: 1 to 255 printable characters."""
    return pa.Field(
        str_length={"min_value": 1, "max_value": 255},
        str_matches=ID_PATTERN,
        nullable=nullable,
        description=description,
    )


def time_field(description: str, *, nullable: bool = False) -> Any:  # noqa: ANN401
    """Return a UTC microsecond timestamp column."""
    return pa.Field(
        in_range={"min_value": EARLIEST, "max_value": LATEST, "include_max": False},
        nullable=nullable,
        description=description,
    )


def count_field(description: str) -> Any:  # noqa: ANN401
    """Return a column of non-negative counts."""
    return pa.Field(ge=0, description=description)


def ratio_field(description: str) -> Any:  # noqa: ANN401
    """Return a non-negative ratio, null where its denominator is 0."""
    return pa.Field(ge=0, nullable=True, description=description)
