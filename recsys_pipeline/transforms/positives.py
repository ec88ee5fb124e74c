"""Positives: the events that a model should learn to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys_pipeline.transforms.features_common import COUNTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from recsys_pipeline.transforms.arrays import Codes, Ints
    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.sampling_config import SamplingConfig


@dataclass(frozen=True)
class Positives:
    """The positives of a pass.

    Attributes:
        events: Event number of each, by day, user, time, item.
        day: The first day, in days since 1970-01-01.
        offsets: Those of day `day + n` are `events[offsets[n]:offsets[n + 1]]`.
    """

    events: Codes
    day: int
    offsets: Ints


def positives(
    events: EventPass, config: SamplingConfig, days: Collection[date] | None = None
) -> Positives:
    """Choose the positives of a tenant.

    At level `user_item_day` the events of a (user, item, day) that are of a positive type make
    one positive, with the first of their times. At level `event` each of them is one.

    Args:
        events: The tenant's events.
        config: Which types are positive, and the level.
        days: Days whose positives are wanted; None for all.
    """
    from recsys_pipeline.kernels.positives import positive_events

    is_positive = np.array([word in config.positive_types for word in COUNTS.values()])
    low, wanted = events.wanted(days)
    chosen, offsets = positive_events(
        *events.by_user,
        events.items.codes,
        len(events.items.ids),
        events.days,
        low,
        is_positive[events.types],
        wanted,
        config.level == "user_item_day",
    )
    return Positives(chosen, low, offsets)
