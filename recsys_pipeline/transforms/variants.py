"""Variants of an experiment: each user is in one of them, for good and whoever asks."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.transforms.stable_hash import fold, hash_strings, start

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCALE = 2**32
_HALF = np.uint64(32)


def check_shares(shares: Mapping[str, float]) -> None:
    """Check that shares are those of variants.

    Raises:
        SettingsError: One is not above 0, they don't sum to 1, or a name is empty.
    """
    for name, share in shares.items():
        if not name or not share > 0:
            raise SettingsError("--variants", f"{name}={share} is no share", "Give more than 0")
    total = sum(shares.values())
    if abs(total - 1) > 1e-9:
        raise SettingsError(
            "--variants", f"the shares sum to {total:g}, not 1", "E.g. control=0.5,new=0.5"
        )


def variants(users: pl.Series, experiment: str, shares: Mapping[str, float]) -> pl.Series:
    """Return the variant of each user: a stable hash of (experiment, user), divided by the shares.

    A user stays in its variant while the shares of the variants before it, in their order, stay. Two
    experiments divide users independently.

    Args:
        users: User ids (String without nulls).
        experiment: Name of the experiment.
        shares: Share of each variant, in order; see `check_shares`.

    Returns:
        String series.
    """
    state = fold(start(0), hash_strings(pl.Series([experiment], dtype=pl.String)))
    words = fold(np.broadcast_to(state, (len(users),)), hash_strings(users))
    ends = [round(end * _SCALE) for end in accumulate(shares.values())]
    place = np.searchsorted(np.array(ends[:-1], np.uint64), words >> _HALF, side="right")
    return pl.Series("variant", list(shares), dtype=pl.String).gather(place)
