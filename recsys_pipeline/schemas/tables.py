"""Every stored table by name, with its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.schemas.features import ItemFeatures, UserFeatures
from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.landing import LandedInteraction, LandedItem
from recsys_pipeline.schemas.quarantine import QuarantinedInteraction, QuarantinedItem
from recsys_pipeline.schemas.samples import TrainingSample

if TYPE_CHECKING:
    import pandera.polars as pa

CONTRACTS: dict[str, type[pa.DataFrameModel]] = {
    "raw_interactions": LandedInteraction,
    "raw_items": LandedItem,
    "validated_interactions": Interaction,
    "quarantined_interactions": QuarantinedInteraction,
    "validated_items": Item,
    "quarantined_items": QuarantinedItem,
    "user_features": UserFeatures,
    "item_features": ItemFeatures,
    "training_samples": TrainingSample,
}
