"""Compile every kernel once, so that no run of a new machine waits for it.

Run: python -m recsys_pipeline.maintenance.warm
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

import polars as pl

from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import SAMPLE_FEATURES
from recsys_pipeline.settings import INTERACTION_TYPES, SamplingStrategy
from recsys_pipeline.transforms.event_pass import EventPass
from recsys_pipeline.transforms.item_features import item_features
from recsys_pipeline.transforms.merge import Merge
from recsys_pipeline.transforms.samples import training_samples
from recsys_pipeline.transforms.sampling_config import SamplingConfig
from recsys_pipeline.transforms.sequences import Sequences
from recsys_pipeline.transforms.state import State
from recsys_pipeline.transforms.user_features import user_features

START = datetime(2025, 1, 1, tzinfo=UTC)
WEIGHTS = dict.fromkeys(INTERACTION_TYPES, 1)


def warm() -> None:
    """Take a few events through features and samples, in two passes."""
    state = State.empty()
    for day in range(2):
        events = EventPass(state, _events(day))
        user_features(events, "warm", None)
        item_features(events, "warm", None, WEIGHTS)
        versions = pl.DataFrame(schema=frame_schema(Item))
        days = [(START + timedelta(days=day)).date()]
        strategies: tuple[SamplingStrategy, ...] = ("uniform", "viewed")
        for strategy in strategies:
            config = SamplingConfig(1, 1, strategy, 1.0, INTERACTION_TYPES, "user_item_day")
            parts = training_samples(
                events, "warm", versions, days, config, SAMPLE_FEATURES, WEIGHTS
            )
            deque(parts, maxlen=0)
        state = Merge(events).state()
    sequences = Sequences(2)
    sequences.open(_events(0))
    sequences.before(_events(0))


def _events(day: int) -> pl.DataFrame:
    rows = [
        {
            "date": (START + timedelta(days=day)).date(),
            "tenant": "warm",
            "user_id": f"u{n % 3}",
            "item_id": f"i{n % 5}",
            "interaction_type": "view",
            "timestamp": START + timedelta(days=day, seconds=n),
        }
        for n in range(10)
    ]
    return pl.DataFrame(rows, schema=frame_schema(Interaction))


if __name__ == "__main__":
    warm()
