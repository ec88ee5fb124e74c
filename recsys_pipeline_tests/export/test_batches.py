"""Batches of a release: the same as its Parquet files, from any position, over any workers."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.export import iter_batches, open_release
from recsys_pipeline_tests.landed import START
from recsys_pipeline_tests.releases import QUIET, release, rows_of, small_root


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return release(small_root(tmp_path_factory.mktemp("export")))


@pytest.fixture(scope="module")
def opened(made):
    found = open_release(made.uri)
    assert len(found.shards("train")) > 3  # batches go over the borders of files
    return found


def arrays(batches) -> dict[str, np.ndarray]:
    found = list(batches)
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}


def frame(batches) -> pl.DataFrame:
    return pl.from_arrow(pa.concat_tables(list(batches)))


def ids(batches) -> list[list[tuple]]:
    return [
        list(zip(b["user_index"].tolist(), b["item_index"].tolist(), b["timestamp"], strict=True))
        for b in batches
    ]


@pytest.mark.parametrize("size", [1, 7, 60, 61, 100_000])
def test_batches_are_the_rows_of_the_files_in_order(made, opened, size):
    batches = iter_batches(opened, "train", size, format="arrow")
    found = list(batches)
    whole = rows_of(made, "train")
    assert pl.from_arrow(pa.concat_tables(found)).equals(whole)
    assert {table.num_rows for table in found[:-1]} <= {size}
    assert len(found) == len(batches) == batches.position == -(-whole.height // size)


def test_arrays_hold_what_the_files_hold_under_dtypes_that_no_value_changes(made, opened):
    whole = rows_of(made, "train")
    found = list(iter_batches(opened, "train", 5))
    for batch in found:
        assert {n: a.dtype for n, a in batch.items()} == {n: a.dtype for n, a in found[0].items()}
    for name, array in arrays(found).items():
        column = whole[name]
        if column.dtype == pl.String:
            assert array.tolist() == column.to_list()
        elif column.dtype.is_temporal():
            assert array.dtype == np.dtype("datetime64[us]")
            assert np.array_equal(np.isnat(array), column.is_null().to_numpy())
            assert array[~np.isnat(array)].astype(np.int64).tolist() == (
                column.drop_nulls().to_physical().to_list()
            )
        else:
            assert np.array_equal(
                array.astype(np.float64),
                column.cast(pl.Float64).fill_null(float("nan")).to_numpy(),
                equal_nan=True,
            )
    kinds = {n: found[0][n].dtype for n in ("user_index", "user_num_views", "label", "cold_user")}
    assert list(map(str, kinds.values())) == ["int64", "float64", "float64", "bool"]


@settings(max_examples=12, deadline=None)
@given(
    size=st.integers(1, 90),
    workers=st.integers(1, 7),
    stop=st.integers(0, 50),
    seed=st.sampled_from([None, 0, 5]),
    epoch=st.integers(0, 2),
)
def test_workers_part_the_batches_and_any_of_them_resumes(opened, size, workers, stop, seed, epoch):
    options = {"shuffle_seed": seed, "epoch": epoch}
    columns = ["user_index", "item_index", "timestamp"]
    whole = ids(iter_batches(opened, "train", size, columns, **options))
    parts = []
    for worker in range(workers):
        first = iter_batches(opened, "train", size, columns, shard=(worker, workers), **options)
        begun = ids(islice(first, stop))
        rest = iter_batches(
            opened, "train", size, columns, shard=(worker, workers), start=first.position, **options
        )
        parts.append([*begun, *ids(rest)])
    assert [batch for part in parts for batch in part] == whole
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_each_epoch_has_an_order_of_its_own_and_the_same_rows(made, opened):
    whole = rows_of(made, "train")
    orders = []
    for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0)):
        batches = iter_batches(opened, "train", 32, format="arrow", shuffle_seed=seed, epoch=epoch)
        rows = frame(batches)
        assert rows.sort(whole.columns).equals(whole.sort(whole.columns))
        orders.append(rows.select("user_id", "item_id", "timestamp").rows())
    assert orders[0] == orders[3]
    assert len(set(map(tuple, orders))) == 3
    arrays_of = arrays(iter_batches(opened, "train", 32, ["item_index"], shuffle_seed=1))
    tables = frame(
        iter_batches(opened, "train", 32, ["item_index"], shuffle_seed=1, format="arrow")
    )
    assert arrays_of["item_index"].tolist() == tables["item_index"].to_list()


def test_a_release_opens_by_folder_or_id_and_has_its_tables(made, opened, use_root):
    root = made.uri.partition("/training_dataset/")[0]
    use_root(root)
    for where, given_root in ((made.manifest.release, None), (made.manifest.release[:9], root)):
        assert open_release(where, given_root).manifest == opened.manifest
    assert opened.splits == ["train", "validation", "test"]
    users = opened.vocabulary("users")
    train = rows_of(made, "train")
    known = dict(users.select("id", "index").iter_rows())
    assert train["user_index"].to_list() == [known[user] for user in train["user_id"]]
    frequencies = opened.item_frequencies()
    assert frequencies["positives"].sum() == train["label"].sum()
    assert opened.catalogue().height == 14


def test_wrong_words_name_the_culprit(opened, tmp_path):
    for arguments, culprit in (
        (("nope", 3), "nope"),
        (("train", 0), "batch_size"),
        (("train", 3, ["nope"]), "nope"),
    ):
        with pytest.raises(ReleaseError, match=culprit):
            iter_batches(opened, *arguments)
    with pytest.raises(ReleaseError, match="shard"):
        iter_batches(opened, "train", 3, shard=(2, 2))
    with pytest.raises(ReleaseError, match="start"):
        iter_batches(opened, "train", 3, start=-1)
    for where in (tmp_path, "abcdef"):
        with pytest.raises(ReleaseError):
            open_release(where, str(tmp_path))


def test_an_empty_split_has_no_batches(tmp_path):
    until = START + timedelta(days=QUIET)
    made = release(small_root(tmp_path), last=until, validation_days=0)
    opened = open_release(made.uri)
    assert opened.manifest.rows()["test"] == 0
    assert opened.manifest.content.warnings == ("test has no rows",)
    assert list(iter_batches(opened, "test", 10)) == []
