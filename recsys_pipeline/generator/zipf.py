"""Zipf-Mandelbrot ranks by inversion: no array of weights, whatever the number of ranks.

Rank r has the weight of the integral of (x + q)^-s over [r, r + 1), the continuous form of
Mandelbrot's law (Mandelbrot 1953). Its distribution function has a closed inverse, so a draw
costs one power and no memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP = 0.2
_NEAR_ONE = 1e-9


@dataclass(frozen=True)
class Zipf:
    """A Zipf-like distribution over ranks.

    Attributes:
        s: Exponent; 0 is uniform.
        q_share: Shift q as a share of the number of ranks: it flattens the head, so that no
            single user makes a tenth of all events.
    """

    s: float
    q_share: float = 0.004

    def cdf(self, share: float) -> float:
        """Return the probability of the first `share` of the ranks."""
        power = 1.0 - self.s
        part = math.log1p(share / self.q_share)
        whole = math.log1p(1.0 / self.q_share)
        if abs(power) < _NEAR_ONE:
            return part / whole
        return math.expm1(power * part) / math.expm1(power * whole)

    def ranks(
        self, uniform: NDArray[np.float64], count: int | NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Turn uniform draws in [0, 1) into ranks 0 to count - 1, the most likely first.

        Args:
            uniform: float64 (n,).
            count: Number of ranks, one for all or one per draw.
        """
        power = 1.0 - self.s
        whole = math.log1p(1.0 / self.q_share)
        if abs(power) < _NEAR_ONE:
            log = uniform * whole
        else:
            log = np.log1p(uniform * math.expm1(power * whole)) / power
        ranks = (np.expm1(log) * (self.q_share * count)).astype(np.int64)
        return np.minimum(ranks, np.asarray(count, np.int64) - 1)


def zipf_with_top_share(share: float) -> Zipf:
    """Return the distribution whose first 20 % of ranks have the given share of the draws.

    Args:
        share: Between 0.2 (uniform) and 1, exclusive.
    """
    low, high = 0.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        if Zipf(middle).cdf(TOP) < share:
            low = middle
        else:
            high = middle
    return Zipf(low)
