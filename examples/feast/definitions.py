"""What Feast is told of `user_features` and `item_features`; run by Feast's own environment.

`feast -c examples/feast apply` takes the module's objects, over the folder `data` of the project;
`definitions` makes the same over another root.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Float64, Int64, String, UnixTimestamp

if TYPE_CHECKING:
    from typing import Any

# the default of RECSYS_STORAGE_ROOT
DATA = Path(__file__).parents[2] / "data"
COUNTS = (
    "total_interactions",
    "rating_count",
    "num_views",
    "num_clicks",
    "num_likes",
    "num_cart_adds",
    "num_purchases",
)
TIMES = ("first_interaction", "last_interaction")
FEATURES: dict[str, dict[str, Any]] = {
    "user": {
        **dict.fromkeys((*COUNTS, "unique_items", "days_active", "active_day_count"), Int64),
        **dict.fromkeys(
            ("avg_rating", "interactions_per_day", "conversion_rate", "cart_conversion_rate"),
            Float64,
        ),
        **dict.fromkeys(TIMES, UnixTimestamp),
        "recent_items": Array(String),
    },
    "item": {
        **dict.fromkeys((*COUNTS, "unique_users"), Int64),
        **dict.fromkeys(
            (
                "avg_rating",
                "popularity_score",
                "engagement_score",
                "purchase_rate",
                "click_through_rate",
            ),
            Float64,
        ),
        **dict.fromkeys(TIMES, UnixTimestamp),
    },
}


def definitions(root: str | Path) -> list[Any]:
    """Return entities and feature views over a storage root.

    A feature view has two entities: the same user of two tenants is two users. `tenant` and `date` are
    levels of the path, which DuckDB reads as columns. `as_of` is the end of a row's day, exclusive, so
    Feast's `as_of <= event_timestamp` gives an event of day D the features of all days before D.
    """
    tenant = Entity(name="tenant", join_keys=["tenant"], value_type=ValueType.STRING)
    found: list[Any] = [tenant]
    for side, features in FEATURES.items():
        entity = Entity(name=side, join_keys=[f"{side}_id"], value_type=ValueType.STRING)
        source = FileSource(
            name=f"{side}_features_source",
            # this pattern and no other: what is not data is below _meta
            path=f"{root}/{side}_features/date=*/tenant=*/part-0.parquet",
            timestamp_field="as_of",
        )
        view = FeatureView(
            name=f"{side}_features",
            entities=[tenant, entity],
            # a row holds until there is a newer one: only days with events have one
            ttl=timedelta(0),
            schema=[
                Field(name="tenant", dtype=String),
                Field(name=f"{side}_id", dtype=String),
                *(Field(name=name, dtype=dtype) for name, dtype in features.items()),
            ],
            source=source,
        )
        found += [entity, view]
    return found


tenant, user, user_features, item, item_features = definitions(DATA)
