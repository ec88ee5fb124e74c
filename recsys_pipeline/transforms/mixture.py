"""Sources of negatives: the weights of a mixture, and the candidates by category."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from recsys_pipeline.schemas.samples import NEGATIVE_SOURCES

if TYPE_CHECKING:
    from recsys_pipeline.transforms.arrays import Ints
    from recsys_pipeline.transforms.sampling_config import SamplingConfig

_WHOLE = 2**40


def source_shares(config: SamplingConfig) -> Ints:
    """Return an integer weight for each of `NEGATIVE_SOURCES`.

    A strategy that is a source has all of 2**40. Of `mixed` a source's is
    round(2**40 * weight / sum of weights), never below 1, in exact arithmetic over the weights as
    they are written, so that it is the same on every platform.
    """
    mix: dict[str, float] = (
        dict(config.mix) if config.strategy == "mixed" else {config.strategy: 1.0}
    )
    exact = {source: Fraction(repr(weight)) for source, weight in mix.items()}
    total = sum(exact.values())
    shares = {source: max(1, round(_WHOLE * weight / total)) for source, weight in exact.items()}
    return np.array([shares.get(source, 0) for source in NEGATIVE_SOURCES], np.int64)


@dataclass(frozen=True)
class Categories:
    """The candidates by category.

    Attributes:
        of: Category of each candidate, or -1.
        offsets: Candidates of category c are `members[offsets[c]:offsets[c + 1]]`.
        members: Candidates, ascending within a category.
    """

    of: Ints
    offsets: Ints
    members: Ints

    @classmethod
    def group(cls, category: Ints) -> Categories:
        """Group candidates by their categories, which are dense codes or -1."""
        size = int(category.max(initial=-1)) + 1
        order = np.argsort(category, kind="stable")
        members = order[np.count_nonzero(category < 0) :]
        counts = np.bincount(category[members], minlength=size)
        return cls(category, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), members)
