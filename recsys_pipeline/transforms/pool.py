"""What the negatives of a day may be drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys_pipeline.schemas.samples import NEGATIVE_SOURCES
from recsys_pipeline.transforms.mixture import Categories, source_shares
from recsys_pipeline.transforms.popularity import popularity_weights

if TYPE_CHECKING:
    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.candidates import ItemState, KnownItems
    from recsys_pipeline.transforms.sampling_config import SamplingConfig
    from recsys_pipeline.transforms.stable_hash import Words


@dataclass(frozen=True)
class Pool:
    """What may be drawn on a day.

    Attributes:
        codes: Item codes of the candidates.
        hashes: Stable hashes of their ids.
        place: Place among them of every item code, or -1.
        weights: Weight of each; empty when all are equal.
        table: Their alias table.
        shares: Weight of each of `NEGATIVE_SOURCES`.
        categories: The candidates by category; of none where that is no source.
    """

    codes: Ints
    hashes: Words
    place: Ints
    weights: Ints
    table: Words
    shares: Ints
    categories: Categories

    @classmethod
    def of(cls, state: ItemState, items: KnownItems, day: int, config: SamplingConfig) -> Pool:
        """Return what may be drawn on a day (days since 1970-01-01), to which `state` moves."""
        from recsys_pipeline.kernels.sampling import alias_table

        candidates = state.candidates(day)
        codes = np.flatnonzero(candidates)
        place = np.full(len(candidates), -1, np.int64)
        place[codes] = np.arange(len(codes))
        shares = source_shares(config)
        weights = (
            popularity_weights(state.counts[codes], config.alpha)
            if shares[NEGATIVE_SOURCES.index("popularity")]
            else np.empty(0, np.int64)
        )
        known = state.categories[codes] if len(state.categories) else np.full(len(codes), -1)
        return cls(
            codes,
            items.hashes[codes],
            place,
            weights,
            alias_table(weights),
            shares,
            Categories.group(known),
        )
