"""Matrix factorisation with a softmax over a batch, in NumPy.

Each positive of a batch is to score above the items of the others, or above the batch's negatives. A popular item is in many batches, so it
is punished too often; the logQ correction takes the logarithm of its share of train from its score while
training (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations",
RecSys 2019).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.export import iter_batches

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy.typing as npt

    Numbers: TypeAlias = npt.NDArray[Any]

    from recsys_pipeline.export import OpenRelease


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Attributes:
        dimensions: Numbers of a user or an item.
        epochs: Goes through the train split.
        batch: Rows of a batch, negatives among them.
        rate: Learning rate of Adagrad.
        decay: L2 penalty.
        temperature: What scores are divided by.
        logq: Whether popularity is corrected for.
        seed: Of the first numbers and of the order of rows.
        negatives: What a positive is to score above: `in_batch`, the batch's other positives, or
            `sampled`, the items of the batch's rows with label 0, whosever they are. What is drawn
            then shapes the model, and `logq` must be off: it corrects for the items of positives.
    """

    dimensions: int = 64
    epochs: int = 20
    batch: int = 4096
    rate: float = 0.05
    decay: float = 1e-5
    temperature: float = 0.2
    logq: bool = True
    seed: int = 1
    negatives: Literal["in_batch", "sampled"] = "in_batch"


@dataclass
class Model:
    """A user's and an item's numbers, by index of the release's vocabularies.

    Attributes:
        users: float32, shape (users + 2, dimensions).
        items: float32, shape (items + 2, dimensions).
        losses: Mean loss by epoch.
    """

    users: Numbers
    items: Numbers
    losses: list[float] = field(default_factory=list)

    def scores(self, users: Numbers) -> Numbers:
        """Return the score of every item for each user: cosine similarity, float32."""
        return _unit(self.users[users])[0] @ _unit(self.items)[0].T


def train(release: OpenRelease, how: Training) -> Model:
    """Train on the positives of a release's train split; same release and options, same model."""
    if how.logq and how.negatives == "sampled":
        raise SettingsError(
            "Training.logq",
            "corrects for items of positives, and negatives is 'sampled'",
            "Set logq=False",
        )
    random = np.random.default_rng(how.seed)
    sizes = [release.vocabulary(name)["index"].to_numpy().max() + 1 for name in ("users", "items")]
    tables = [random.normal(0, 0.1, (size, how.dimensions)).astype(np.float32) for size in sizes]
    squares = [np.full(size, 1e-6, np.float32) for size in sizes]
    model = Model(tables[0], tables[1])
    logq = _log_shares(release, sizes[1]) if how.logq else np.zeros(sizes[1], np.float32)
    columns = ["user_index", "item_index", "label"]
    for epoch in range(how.epochs):
        losses = []
        for rows in iter_batches(
            release, "train", how.batch, columns, shuffle_seed=how.seed, epoch=epoch
        ):
            positive = rows["label"] == 1
            pair = rows["user_index"][positive], rows["item_index"][positive]
            drawn = rows["item_index"][~positive]
            if how.negatives == "in_batch":
                losses.append(_step(model, squares, pair, logq, how))
            elif len(drawn) and positive.any():
                losses.append(_sampled_step(model, squares, pair, drawn, how))
        model.losses.append(float(np.mean(losses)))
    return model


def _log_shares(release: OpenRelease, size: int) -> Numbers:
    """Return the logarithm of each item's share of train positives, by index."""
    found = np.zeros(size)
    frequencies = release.item_frequencies()
    found[frequencies["index"].to_numpy()] = frequencies["share"].to_numpy()
    return np.log(np.maximum(found, 1e-9)).astype(np.float32)


def _unit(rows: Numbers) -> tuple[Numbers, Numbers]:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows / norms, norms


def _step(
    model: Model,
    squares: list[Numbers],
    pair: tuple[Numbers, Numbers],
    logq: Numbers,
    how: Training,
) -> float:
    """Take a step of Adagrad on a batch; return its mean loss."""
    users, items = pair
    u, u_norms = _unit(model.users[users])
    v, v_norms = _unit(model.items[items])
    logits = u @ v.T / how.temperature - logq[items]
    # the same item in another row is no negative
    same = items[:, None] == items[None, :]
    np.fill_diagonal(same, val=False)
    logits[same] = -1e9
    logits -= logits.max(axis=1, keepdims=True)
    share = np.exp(logits)
    share /= share.sum(axis=1, keepdims=True)
    loss = -np.log(np.maximum(np.diagonal(share), 1e-12)).mean()
    np.fill_diagonal(share, np.diagonal(share) - 1)
    share /= how.temperature
    _descend(model.users, squares[0], users, (share @ v, u, u_norms), how)
    _descend(model.items, squares[1], items, (share.T @ u, v, v_norms), how)
    return float(loss)


def _sampled_step(
    model: Model,
    squares: list[Numbers],
    pair: tuple[Numbers, Numbers],
    drawn: Numbers,
    how: Training,
) -> float:
    """Take a step against a batch's negatives; return its mean loss."""
    users, items = pair
    u, u_norms = _unit(model.users[users])
    v, v_norms = _unit(model.items[np.concatenate([items, drawn])])
    own, others = v[: len(items)], v[len(items) :]
    logits = np.concatenate([(u * own).sum(axis=1, keepdims=True), u @ others.T], axis=1)
    logits /= how.temperature
    # somebody else's negative can be the very item
    logits[:, 1:][items[:, None] == drawn[None, :]] = -1e9
    logits -= logits.max(axis=1, keepdims=True)
    share = np.exp(logits)
    share /= share.sum(axis=1, keepdims=True)
    loss = -np.log(np.maximum(share[:, 0], 1e-12)).mean()
    share[:, 0] -= 1
    share /= how.temperature
    to_users = share[:, :1] * own + share[:, 1:] @ others
    to_items = np.concatenate([share[:, :1] * u, share[:, 1:].T @ u])
    _descend(model.users, squares[0], users, (to_users, u, u_norms), how)
    _descend(model.items, squares[1], np.concatenate([items, drawn]), (to_items, v, v_norms), how)
    return float(loss)


def _descend(
    table: Numbers,
    squares: Numbers,
    rows: Numbers,
    towards: tuple[Numbers, Numbers, Numbers],
    how: Training,
) -> None:
    """Move a table's rows against their gradients: (gradients, unit rows, their norms)."""
    gradient, unit, norms = towards
    # what a step along the row would change is taken back by its norm
    across = (gradient - unit * (gradient * unit).sum(axis=1, keepdims=True)) / norms
    distinct, place = np.unique(rows, return_inverse=True)
    summed = np.zeros((len(distinct), table.shape[1]), np.float32)
    np.add.at(summed, place, across)
    summed += how.decay * table[distinct]
    squares[distinct] += (summed**2).mean(axis=1)
    table[distinct] -= how.rate * summed / np.sqrt(squares[distinct])[:, None]
