"""Step 0: where data comes from. External assets, so that lineage starts where data starts."""

from __future__ import annotations

import dagster as dg

from recsys_pipeline.assets.common import OWNERS

interactions_topic = dg.AssetSpec(
    "interactions_topic",
    group_name="sources",
    description="Kafka topic of events, one JSON object a message.",
    kinds={"kafka"},
    owners=OWNERS,
)

items_topic = dg.AssetSpec(
    "items_topic",
    group_name="sources",
    description="Kafka topic of catalogue items, one JSON object a message.",
    kinds={"kafka"},
    owners=OWNERS,
)

uploads = dg.AssetSpec(
    "uploads",
    group_name="sources",
    description="Files landed by `recsys ingest`; `recsys batches list` shows them.",
    kinds={"csv", "json", "parquet"},
    owners=OWNERS,
)

SOURCES = [interactions_topic, items_topic, uploads]
