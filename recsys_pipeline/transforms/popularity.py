"""Integer weights of the `popularity` strategy."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from recsys_pipeline.transforms.arrays import Ints

SCALE_BITS = 20
_LARGEST_TOTAL = 2**61
_CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)


@lru_cache(maxsize=1 << 16)
def _power(base: int, alpha: float) -> Decimal:
    return _CONTEXT.power(Decimal(base), Decimal(repr(alpha)))


def popularity_weights(counts: Ints, alpha: float) -> Ints:
    """Return round(2**20 * (count + 1)**alpha) for each count, never below 1.

    Decimal arithmetic of 28 digits makes the weights the same on every platform. Where their sum
    would pass 2**61, the scale is the largest power of two that keeps it below.

    Args:
        counts: Non-negative numbers of events.
        alpha: Exponent, 0 to 2.
    """
    values, inverse, repeats = np.unique(counts, return_inverse=True, return_counts=True)
    powers = [_power(int(value) + 1, float(alpha)) for value in values]
    total = sum((p * int(n) for p, n in zip(powers, repeats, strict=True)), Decimal(0))
    bits = SCALE_BITS
    while total * Decimal(2) ** bits > _LARGEST_TOTAL:
        bits -= 1
    factor = Decimal(2) ** bits
    weights = [max(1, int((p * factor).to_integral_value(ROUND_HALF_EVEN))) for p in powers]
    return np.array(weights, dtype=np.int64)[inverse]
