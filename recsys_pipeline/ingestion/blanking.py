"""Rows of users who were erased, as they land when they come again: without anything of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.landing import USER_ERASED

if TYPE_CHECKING:
    from recsys_pipeline.storage.erased import Subjects

KEPT = ("tenant", "date", "received_at", "batch_id", "position", "source", "parked")


def blanked(rows: pl.DataFrame, erased: Subjects) -> pl.DataFrame:
    """Empty the rows of erased users, so that they are counted, quarantined and say nothing.

    Args:
        rows: Rows of `LandedInteraction`, of the tenant of `erased` or of nobody.
        erased: Who was erased.

    Returns:
        As many rows, in their order.
    """
    theirs = erased.rows(rows)
    if not theirs.any():
        return rows
    empty = {name: pl.lit(None, kind) for name, kind in rows.schema.items() if name not in KEPT}
    empty["problem"] = pl.lit(USER_ERASED)
    return rows.with_columns(
        pl.when(theirs).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in empty.items()
    )
