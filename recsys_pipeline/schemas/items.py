"""Contract of `validated_items`: the valid item versions of a day."""

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


class Item(pa.DataFrameModel):
    """A version of a catalogue item; the catalogue as of a day is the latest of each."""

    date: pl.Date = date_field("UTC day from which the version holds; a hive level.")
    tenant: pl.String = tenant_field()
    item_id: pl.String = id_field("Item, unique per tenant and day.")
    title: pl.String = pa.Field(str_length={"min_value": 1, "max_value": 500}, description="Title.")
    category: pl.String = pa.Field(
        str_length={"min_value": 1, "max_value": 100},
        description="Category, in the tenant's list where one is set.",
    )
    price: pl.Float64 = pa.Field(
        in_range={"min_value": 0, "max_value": 1e12},
        nullable=True,
        description="Price in the tenant's currency.",
    )
    brand: pl.String = pa.Field(
        str_length={"min_value": 0, "max_value": 200}, nullable=True, description="Brand."
    )
    updated_at: UtcTime = time_field("Time of the version at its source.", nullable=True)
    description: pl.String = pa.Field(
        str_length={"min_value": 0, "max_value": 10_000}, nullable=True, description="Description."
    )
    available: pl.Boolean = pa.Field(description="False once the item is withdrawn.")
    attributes: pl.String = pa.Field(
        nullable=True, description="Further fields of the item as a JSON object."
    )

    class Config:
        """Exactly these columns, in this order."""

        strict = True
        ordered = True
