"""Negatives drawn while a model trains, by the kernel that draws those of the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.export.batches import iter_batches
from recsys_pipeline.transforms.occurrences import occurrences
from recsys_pipeline.transforms.popularity import popularity_weights
from recsys_pipeline.transforms.stable_hash import fold, start
from recsys_pipeline.transforms.vocabularies import FIRST_INDEX, PADDING

if TYPE_CHECKING:
    from recsys_pipeline.export.open import OpenRelease
    from recsys_pipeline.transforms.arrays import Floats, Ints

Strategy = Literal["uniform", "popularity"]

_EXACT = np.uint64(0x6F6E6C696E65)  # sets the exact path's hashes apart from the proposals'
_ROWS = 65_536
_NOT_OF_RELEASES = {
    "viewed": "'viewed' needs all that users viewed, and a release holds samples alone: "
    "those that the samples drew have it as their negative_source",
}


class OnlineNegativeSampler:
    """Draws items that a user has no positive with in train, anew for each epoch.

    The draws of a row depend on seed, epoch, user, item and how often both came before in the call: not on
    batch sizes, workers or threads. Views that are no positives are not in a release, so that they may be
    drawn; negatives that exclude them too, or are drawn from them, are those of the samples.

    Args:
        candidates: Item indices that may be drawn, ascending (int64).
        positives: User and item index of each positive of train.
        weights: Positive whole weight of each candidate; empty when all are equal.
        seed: Seed, 0 to 2**63 - 1.
    """

    def __init__(
        self, candidates: Ints, positives: tuple[Ints, Ints], weights: Ints, seed: int
    ) -> None:
        from recsys_pipeline.kernels.sampling import alias_table

        self._candidates = candidates
        self._weights = weights
        self._table = alias_table(weights)
        self._seed = seed
        self._hashes = fold(start(0), candidates)
        size = int(candidates[-1]) + 1 if len(candidates) else 0
        place = np.full(size, -1, np.int64)
        place[candidates] = np.arange(len(candidates))
        users, items = positives
        known = items < size
        users, places = users[known], place[items[known]]
        users, places = users[places >= 0], places[places >= 0]
        met = np.unique(np.stack([users, places]), axis=1)
        self._met = met[1]
        self._met_offsets = np.searchsorted(met[0], np.arange(int(users.max(initial=0)) + 2))

    @classmethod
    def of(
        cls,
        release: OpenRelease,
        *,
        strategy: Strategy = "uniform",
        alpha: float = 0.75,
        seed: int = 0,
        fold: str = "",
    ) -> OnlineNegativeSampler:
        """Return a sampler over the items of a release's vocabulary.

        Args:
            release: The release.
            strategy: `uniform`, or `popularity`: (positives in train + 1)**alpha.
            alpha: Exponent of `popularity`, 0 to 2.
            seed: Seed.
            fold: Fold of a rolling release.

        Raises:
            ReleaseError: There is no such strategy or fold.
        """
        if strategy not in {"uniform", "popularity"}:
            problem = _NOT_OF_RELEASES.get(strategy, f"{strategy!r} is none")
            raise ReleaseError("strategy", problem, "Use 'uniform' or 'popularity'")
        vocabulary = release.vocabulary("items", fold)
        alive = vocabulary.filter(vocabulary["id"].is_not_null())["index"].to_numpy()
        frequencies = release.item_frequencies(fold).sort("index")
        counts = np.zeros(int(alive.max(initial=FIRST_INDEX)) + 1, np.int64)
        counts[frequencies["index"].to_numpy()] = frequencies["positives"].to_numpy()
        weights = (
            popularity_weights(counts[alive], alpha)
            if strategy == "popularity"
            else np.empty(0, np.int64)
        )
        train = f"{fold}/train" if fold else "train"
        columns = ["user_index", "item_index", "label"]
        batches = list(iter_batches(release, train, _ROWS, columns))
        user, item, label = (np.concatenate([b[name] for b in batches]) for name in columns)
        return cls(alive, (user[label == 1], item[label == 1]), weights, seed)

    def draw(
        self, users: Ints, items: Ints, ratio: int, epoch: int = 0
    ) -> tuple[Ints, Floats, Floats]:
        """Draw negatives for rows.

        Args:
            users: User index of each row (int64).
            items: Item index of each row's positive (int64).
            ratio: Negatives of a row.
            epoch: Number of the epoch.

        Returns:
            Item indices, shape (rows, ratio), distinct within a row; the probability of each in one draw,
            before exclusion; and the same after it. Where a user has met nearly everything the last ones of
            a row are 0 (padding) with probability 0.
        """
        from recsys_pipeline.kernels.sampling import ROUNDS, draw_distinct

        rows = len(users)
        epoch_state = fold(start(self._seed), np.array([epoch]))
        states = fold(fold(np.broadcast_to(epoch_state, (rows,)), users), items)
        drawn, left = draw_distinct(
            np.arange(rows + 1),
            states,
            _occurrences(users, items) * ratio,
            ratio,
            fold(states, _EXACT),
            *self._banned(users),
            self._hashes,
            self._weights,
            self._table,
            ROUNDS,
        )
        drawn = drawn.reshape(rows, ratio)
        found = drawn >= 0
        weights = self._weights if len(self._weights) else np.ones(len(self._candidates), np.int64)
        chosen = np.where(found, drawn, 0)
        weight = np.where(found, weights[chosen], 0) if len(weights) else np.zeros(drawn.shape)
        indices = self._candidates[chosen] if len(weights) else np.zeros(drawn.shape, np.int64)
        of_all = weight / max(int(weights.sum()), 1)
        return np.where(found, indices, PADDING), of_all, weight / np.maximum(left, 1)[:, None]

    def _banned(self, users: Ints) -> tuple[Ints, Ints]:
        """Return the places of what each row's user has met."""
        last = len(self._met_offsets) - 2
        known = np.minimum(users, last)
        begins = self._met_offsets[known]
        sizes = np.where(users <= last, self._met_offsets[known + 1] - begins, 0)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
        return offsets, self._met[np.repeat(begins, sizes) + inside]


def _occurrences(users: Ints, items: Ints) -> Ints:
    """Return 0, 1, … among the rows that are equal in both, in their order."""
    order = np.lexsort((items, users))
    found = np.empty(len(order), np.int64)
    found[order] = occurrences(users[order], items[order])
    return found
