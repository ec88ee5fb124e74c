"""Contracts of the quarantine: landed rows that were not accepted, each with its reasons."""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from recsys_pipeline.schemas.landing import LandedInteraction, LandedItem

REJECTED = "rejected"
DUPLICATE = "duplicate"


class _Quarantined(pa.DataFrameModel):
    outcome: pl.String = pa.Field(
        isin=[REJECTED, DUPLICATE], description="Rejected by a rule, or a repeat of a kept row."
    )
    reason: pl.String = pa.Field(description="First rule broken, as `column.rule`; or `duplicate`.")
    reasons: pl.String = pa.Field(description="All rules broken, separated by `;`.")


class QuarantinedInteraction(LandedInteraction, _Quarantined):
    """A landed event that was not accepted."""


class QuarantinedItem(LandedItem, _Quarantined):
    """A landed item version that was not accepted."""
