"""An arm of an experiment: a variant of its users, and the release that its model is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from examples.matrix_factorisation.evaluate import hits
from recsys_pipeline.errors import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    import numpy.typing as npt

    from examples.matrix_factorisation.evaluate import Scorer
    from recsys_pipeline.export import OpenRelease

    Numbers: TypeAlias = npt.NDArray[Any]

_HELD = ["user_id", "item_id", "label", "variant"]


@dataclass(frozen=True)
class Arm:
    """An arm.

    Attributes:
        variant: Name of the variant in the releases' column `variant`.
        release: What its model is trained on.
    """

    variant: str
    release: OpenRelease

    @property
    def sampling(self) -> str:
        """What its negatives were drawn from: strategy, weights of a mixture, ratio."""
        settings = self.release.manifest.content.settings
        mix = ", ".join(
            f"{name} {weight:g}" for name, weight in settings.get("sampling_mix", {}).items()
        )
        words = f"{settings['sampling_strategy']}{f' ({mix})' if mix else ''}"
        return f"{words}, {settings['sampling_ratio']} a positive"


def held_out(release: OpenRelease, split: str) -> pl.DataFrame:
    """Read the positives of a split, in its order: `user_id`, `item_id`, `variant`."""
    frames = [release.read(shard.path, _HELD) for shard in release.shards(split)]
    rows = pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(_HELD, pl.String))
    return rows.filter(pl.col("label") == 1).drop("label")


def check_comparable(arms: Sequence[Arm], split: str) -> pl.DataFrame:
    """Check that arms differ in how they were made and not in what they are tested on.

    Returns:
        The held-out positives of all of them.

    Raises:
        ReleaseError: An arm's release has no variants, other ones, not that of the arm, or another
            held-out split.
    """
    first = arms[0].release
    for arm in arms:
        content, name = arm.release.manifest.content, f"release {arm.release.manifest.release}"
        if arm.variant not in content.variants:
            raise ReleaseError(
                name,
                f"has no variant {arm.variant!r}, but {', '.join(content.variants) or 'none'}",
                "Make it with --experiment NAME --variants control=0.5,new=0.5",
            )
        expected = first.manifest.content
        if (content.experiment, content.variants) != (expected.experiment, expected.variants):
            raise ReleaseError(
                name,
                f"divides users by {content.experiment!r}, and the first by {expected.experiment!r}",
                "Give both releases the same --experiment and --variants",
            )
        if not held_out(arm.release, split).equals(held_out(first, split)):
            raise ReleaseError(
                name,
                f"has other positives in {split} than release {first.manifest.release}",
                "Make both of the same days, with the same split and seed",
            )
    return held_out(first, split)


class OfPositives:
    """A scorer that ranks only items with a positive in train.

    The vocabulary holds negatives too, so that arms whose negatives differ have different items to
    rank; those with positives are the same in both.
    """

    def __init__(self, release: OpenRelease, scorer: Scorer) -> None:
        self._scorer = scorer
        frequencies = release.item_frequencies()
        known = frequencies.filter(pl.col("positives") > 0)["index"].to_numpy()
        self._hidden = np.ones(frequencies["index"].to_numpy().max() + 1, bool)
        self._hidden[known] = False

    def scores(self, users: Numbers) -> Numbers:
        """Return the scores of all items for each user, minus infinity without a positive."""
        return np.where(self._hidden, -np.inf, self._scorer.scores(users))


def found(arm: Arm, scorer: Scorer, split: str, k: int) -> Numbers:
    """Return for each held-out positive, in order, whether it is among the k best of its user."""
    return hits(arm.release, OfPositives(arm.release, scorer), split, k)
