"""How a tenant's training samples are drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from recsys_pipeline.settings import NegativeSource, SamplingStrategy

PositiveLevel = Literal["user_item_day", "event"]


@dataclass(frozen=True)
class SamplingConfig:
    """How one tenant's positives are chosen and its negatives are drawn.

    Attributes:
        seed: Seed of the tenant's negatives, 0 to 2**64 - 1.
        ratio: Negatives per positive; 0 gives positives only.
        strategy: `uniform`; `popularity`, with weight (events before the day + 1)**alpha;
            `category`, that of the positive; `viewed`, what the user has only viewed; or `mixed`.
        alpha: Exponent of `popularity`.
        positive_types: Interaction types that make a positive.
        level: One positive per (user, item, day), or one per event.
        mix: Source and weight, by source, of the strategy `mixed`; else empty. It is not part of the
            text that inputs are hashed from: of other strategies that has to stay as it was.
    """

    seed: int
    ratio: int
    strategy: SamplingStrategy
    alpha: float
    positive_types: tuple[str, ...]
    level: PositiveLevel
    mix: tuple[tuple[NegativeSource, float], ...] = field(default=(), repr=False)
