"""The dataset gives each row once, whoever reads it; run where PyTorch is installed."""

from __future__ import annotations

import importlib.util
import pickle
import sys

import numpy as np
import polars as pl
import pytest

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.export import iter_batches, open_release
from recsys_pipeline_tests.releases import release, small_root

COLUMNS = ["user_index", "item_index", "label"]

has_torch = importlib.util.find_spec("torch") is not None
wants_torch = pytest.mark.skipif(not has_torch, reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_release(release(small_root(tmp_path_factory.mktemp("root"))).uri)


def dataset(opened, size=32, **options):
    from recsys_pipeline.export.torch import ReleaseDataset

    return ReleaseDataset(opened, "train", size, COLUMNS, **options)


def rows(batches):
    """The rows of batches as a sorted frame."""
    parts = [pl.DataFrame({k: np.asarray(v) for k, v in b.items()}) for b in batches]
    return pl.concat(parts).sort(COLUMNS)


@pytest.mark.skipif(has_torch, reason="PyTorch is installed")
def test_without_pytorch_it_says_so():
    sys.modules.pop("recsys_pipeline.export.torch", None)
    with pytest.raises(SettingsError, match=r"Install recsys_pipeline\[torch\]"):
        import recsys_pipeline.export.torch  # noqa: F401


@wants_torch
def test_batches_equal_those_without_a_framework(opened):
    plain = list(iter_batches(opened, "train", 32, COLUMNS))
    found = list(dataset(opened))
    assert len(found) == len(plain)
    for one, other in zip(found, plain, strict=True):
        for name in COLUMNS:
            assert np.array_equal(one[name].numpy(), other[name])


@wants_torch
@pytest.mark.parametrize("workers", [0, 2])
def test_workers_of_all_ranks_share_the_rows(opened, workers):
    from torch.utils.data import DataLoader

    every = []
    for rank in range(2):
        own = dataset(opened, shuffle_seed=5, rank=rank, world_size=2)
        own.set_epoch(1)
        context = "spawn" if workers else None
        every += DataLoader(
            own, batch_size=None, num_workers=workers, multiprocessing_context=context
        )
    assert rows(every).equals(rows(iter_batches(opened, "train", 32, COLUMNS)))


@wants_torch
def test_forked_workers_are_refused_not_waited_for(opened):
    from torch.utils.data import DataLoader

    loader = DataLoader(
        dataset(opened), batch_size=None, num_workers=1, multiprocessing_context="fork"
    )
    with pytest.raises(Exception, match="multiprocessing_context"):
        next(iter(loader))


@wants_torch
def test_even_workers_yield_as_many_batches(opened):
    counts = {
        len(list(dataset(opened, 7, rank=rank, world_size=4, even=True))) for rank in range(4)
    }
    assert len(counts) == 1


@wants_torch
def test_it_goes_on_where_it_was(opened):
    whole = list(dataset(opened, shuffle_seed=3))
    first = dataset(opened, shuffle_seed=3)
    reading = iter(first)
    begun = [next(reading) for _ in range(2)]
    second = dataset(opened, shuffle_seed=3)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    joined = [*begun, *second]
    assert len(joined) == len(whole)
    assert all(
        bool((a[name] == b[name]).all())
        for a, b in zip(joined, whole, strict=True)
        for name in COLUMNS
    )
    assert len(list(second)) == len(whole), "then from the beginning"


@wants_torch
def test_epochs_differ_and_come_back(opened):
    made = dataset(opened, shuffle_seed=3)
    seen = []
    for epoch in (0, 1, 0):
        made.set_epoch(epoch)
        seen.append(next(iter(made))["item_index"].tolist())
    assert seen[0] == seen[2] != seen[1]


@wants_torch
def test_columns_without_numbers_are_refused(opened):
    from recsys_pipeline.export.torch import ReleaseDataset

    with pytest.raises(SettingsError, match="user_id"):
        ReleaseDataset(opened, "train", 8, ["user_id"])
    assert "user_total_interactions" in next(iter(ReleaseDataset(opened, "train", 8)))
