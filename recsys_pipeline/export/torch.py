"""A release as a PyTorch dataset; wants the extra `torch`.

dataset = ReleaseDataset(open_release(ID), "train", 4096, ["user_index", "item_index", "label"])
loader = DataLoader(dataset, batch_size=None, num_workers=2)
"""

from __future__ import annotations

from multiprocessing import current_process
from multiprocessing.context import ForkProcess
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.export.batches import iter_batches

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError:
    raise SettingsError(
        "PyTorch", "is not installed", "Install recsys_pipeline[torch], or use iter_batches"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys_pipeline.export.open import OpenRelease


class ReleaseDataset(IterableDataset):  # type: ignore[misc]  # torch is not installed where types are checked
    """Batches of a split as dicts of tensors, divided among the workers of all ranks.

    The same arguments give the same batches. Ranks get runs of batches of the split that differ by one in
    number at most; `even` gives each the same number, leaving out the last of some, which collective
    training needs. Give it to a `DataLoader` with `batch_size=None`, and workers a `multiprocessing_context`
    of "spawn" or "forkserver": a forked process would wait for ever for threads that it doesn't have.

    Resume: keep `state_dict()` of the dataset (of a single process), or of a `StatefulDataLoader`, and
    load it before the next iteration.

    Args:
        release: What `open_release` returns.
        split: One of its splits.
        batch_size: Rows of a batch.
        columns: Columns of numbers; None takes the indices, the label and the numeric features.
        shuffle_seed: Seed of an order of its own for each epoch (`set_epoch`); None keeps the release's.
        rank: Rank of this process; None asks torch.distributed, where it is initialised.
        world_size: Number of ranks; likewise.
        even: Whether every worker yields the same number of batches.

    Raises:
        ReleaseError: There is no such split or column.
        SettingsError: A column has no numbers.
    """

    def __init__(
        self,
        release: OpenRelease,
        split: str,
        batch_size: int,
        columns: Sequence[str] | None = None,
        *,
        shuffle_seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        even: bool = False,
    ) -> None:
        super().__init__()
        self._release = release
        self._split = split
        self._batch_size = batch_size
        self._columns = _numeric(release, columns)
        self._shuffle_seed = shuffle_seed
        self._rank, self._world_size = _place(rank, world_size)
        self._even = even
        self._epoch = 0
        self._position = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch from its start; with `shuffle_seed` each has an order of its own."""
        self._epoch = epoch
        self._position = 0

    def state_dict(self) -> dict[str, int]:
        """Return where this process is."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from where `state_dict` was."""
        self._epoch, self._position = state["epoch"], state["position"]

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the batches of this worker, from where it is."""
        info = get_worker_info()
        if info and isinstance(current_process(), ForkProcess):
            raise SettingsError(
                "DataLoader", "forks its workers", 'Give it multiprocessing_context="spawn"'
            )
        workers, worker = (info.num_workers, info.id) if info else (1, 0)
        parts = self._world_size * workers
        batches = iter_batches(
            self._release,
            self._split,
            self._batch_size,
            self._columns,
            shuffle_seed=self._shuffle_seed,
            epoch=self._epoch,
            shard=(self._rank * workers + worker, parts),
            start=self._position,
        )
        rows = self._release.manifest.rows()[self._split]
        most = -(-rows // self._batch_size) // parts if self._even else len(batches)
        for batch in batches:
            if self._position >= most:
                break
            self._position += 1
            yield {name: _tensor(values) for name, values in batch.items()}
        self._position = 0


def _tensor(values: Any) -> torch.Tensor:  # noqa: ANN401  # an array of any dtype
    # a view of a shard, which is read-only: a tensor may be written to
    return torch.from_numpy(np.array(values))


def _numeric(release: OpenRelease, columns: Sequence[str] | None) -> list[str]:
    numeric = [
        column.name
        for column in release.manifest.content.columns
        if column.dtype.startswith(("Int", "UInt", "Float", "Boolean", "List("))
    ]
    if columns is None:
        return numeric
    known = {column.name for column in release.manifest.content.columns}
    if wrong := [name for name in columns if name in known and name not in numeric]:
        raise SettingsError(
            f"column {wrong[0]!r}", "has no numbers, so it makes no tensor", "Use its index"
        )
    return list(columns)


def _place(rank: int | None, world_size: int | None) -> tuple[int, int]:
    if rank is not None and world_size is not None:
        return rank, world_size
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
