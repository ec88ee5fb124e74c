"""Contract of `validated_interactions`: one row per accepted event."""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from recsys_pipeline.schemas.keys import (
    UtcTime,
    date_field,
    id_field,
    tenant_field,
    time_field,
)
from recsys_pipeline.settings import INTERACTION_TYPES


class Interaction(pa.DataFrameModel):
    """An event: what a user did with an item, when."""

    date: pl.Date = date_field("UTC date of `timestamp`; a hive level.")
    tenant: pl.String = tenant_field()
    user_id: pl.String = id_field("User who acted.")
    item_id: pl.String = id_field("Item acted upon; it need not be in the catalogue.")
    interaction_type: pl.String = pa.Field(
        isin=list(INTERACTION_TYPES), description="What the user did."
    )
    timestamp: UtcTime = time_field("Time of the event, UTC microseconds.")
    rating: pl.Float64 = pa.Field(
        in_range={"min_value": 0, "max_value": 5},
        nullable=True,
        description="Explicit rating, quantised to 0.01.",
    )
    event_id: pl.String = id_field("The producer's own id of the event.", nullable=True)
    context: pl.String = pa.Field(
        nullable=True, description="Further fields of the event as a JSON object."
    )

    class Config:
        """Exactly these columns, in this order."""

        strict = True
        ordered = True
