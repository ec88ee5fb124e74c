"""When things happen: events per day of the window, and the hours within a day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recsys_pipeline.generator.config import GeneratorConfig

DAY_US = 86_400_000_000
# Monday to Sunday: shoppers come at the weekend
WEEKDAYS = (0.94, 0.92, 0.95, 0.98, 1.03, 1.12, 1.15)
# by hour, UTC: a trough at four, a bump at lunch, a peak in the evening
HOURS = (
    *(1.9, 1.1, 0.7, 0.5, 0.4, 0.6, 1.2, 2.3, 3.4, 4.2, 4.8, 5.2),
    *(5.8, 5.5, 5.0, 4.9, 5.1, 5.7, 6.6, 7.6, 8.3, 8.0, 6.4, 3.8),
)
_GROWTH = 0.15
_NOISE = 0.05
_STREAM = 3


def events_per_day(config: GeneratorConfig) -> NDArray[np.int64]:
    """Share the events out over the days: weekday effect, slow growth, some noise.

    Returns:
        int64 (days,), each at least 1, summing to `config.events`.
    """
    rng = np.random.default_rng([config.seed, _STREAM])
    weekday = np.array(
        [WEEKDAYS[(config.start + timedelta(days=d)).weekday()] for d in range(config.days)]
    )
    growth = 1 + _GROWTH * np.linspace(-0.5, 0.5, config.days)
    weight = weekday * growth * np.exp(rng.normal(0, _NOISE, config.days))
    share = np.concatenate([[0.0], np.cumsum(weight / weight.sum())])
    share[-1] = 1.0
    bounds: NDArray[np.int64] = np.round(share * (config.events - config.days)).astype(np.int64)
    per_day: NDArray[np.int64] = np.diff(bounds) + 1
    return per_day


def time_of_day(uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Turn uniform draws into microseconds of the day by the curve of the hours."""
    cumulative = np.concatenate([[0.0], np.cumsum(HOURS)]) / np.sum(HOURS)
    edges = np.arange(len(HOURS) + 1) * (DAY_US / len(HOURS))
    moments: NDArray[np.int64] = np.interp(uniform, cumulative, edges).astype(np.int64)
    return moments
