"""Recall of held-out positives over the whole catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from recsys_pipeline.export import iter_batches

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy.typing as npt

    Numbers: TypeAlias = npt.NDArray[Any]

    from recsys_pipeline.export import OpenRelease

FIRST_ITEM = 2  # 0 is padding, 1 is out of vocabulary
_COLUMNS = ["user_index", "item_index", "label"]


class Scorer(Protocol):
    """What gives each item a score for each user."""

    def scores(self, users: Numbers) -> Numbers:
        """Return the scores of all items, by index, for each user."""
        ...


class Popularity:
    """Recommends what has the most positives in train, the same to everybody."""

    def __init__(self, release: OpenRelease) -> None:
        frequencies = release.item_frequencies()
        self._counts = np.zeros(frequencies["index"].to_numpy().max() + 1, np.float32)
        self._counts[frequencies["index"].to_numpy()] = frequencies["positives"].to_numpy()

    def scores(self, users: Numbers) -> Numbers:
        """Return the items' counts for each user."""
        return np.broadcast_to(self._counts, (len(users), len(self._counts)))


def hits(release: OpenRelease, scorer: Scorer, split: str = "test", k: int = 20) -> Numbers:
    """Return for each held-out positive whether it is among the k best items of its user.

    All items of the vocabulary are ranked but those that the user has a positive with in train. A user or
    an item that train doesn't hold is a miss: the model has no numbers of it.
    """
    seen = _positives(release, "train")
    held = _positives(release, split)
    order = np.argsort(seen[0], kind="stable")
    seen_users, seen_items = seen[0][order], seen[1][order]
    found = np.zeros(len(held[0]), bool)
    known = (held[0] >= FIRST_ITEM) & (held[1] >= FIRST_ITEM)
    places = np.flatnonzero(known)
    for begin in range(0, len(places), 1024):
        chunk = places[begin : begin + 1024]
        users, items = held[0][chunk], held[1][chunk]
        scores = np.array(scorer.scores(users), np.float32)
        scores[:, :FIRST_ITEM] = -np.inf
        starts, ends = np.searchsorted(seen_users, [users, users + 1])
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            scores[row, seen_items[start:end]] = -np.inf
        own = scores[np.arange(len(chunk)), items]
        # ties count as above: what gives all items one score finds nothing
        rank = (scores >= own[:, None]).sum(axis=1)
        found[chunk] = (rank <= k) & np.isfinite(own)
    return found


def recall(found: Numbers, rounds: int = 1000, seed: int = 1) -> tuple[float, float, float]:
    """Return the share of hits, and the bounds of a 95 % bootstrap interval."""
    if not len(found):
        return 0.0, 0.0, 0.0
    random = np.random.default_rng(seed)
    drawn = random.binomial(len(found), found.mean(), rounds) / len(found)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(found.mean()), float(low), float(high)


def _positives(release: OpenRelease, split: str) -> tuple[Numbers, Numbers]:
    batches = list(iter_batches(release, split, 65_536, _COLUMNS))
    rows = {name: np.concatenate([b[name] for b in batches]) for name in _COLUMNS}
    positive = rows["label"] == 1
    return rows["user_index"][positive], rows["item_index"][positive]
