from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.transforms.stable_hash import fold, hash_strings, start
from recsys_pipeline_tests import oracles

words = st.integers(0, 2**64 - 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=20)), st.integers(0, 3))
def test_hash_strings_equals_the_oracle_on_any_slice(values, offset):
    series = pl.Series("s", ["lead"] * offset + values, dtype=pl.String)[offset:]
    assert hash_strings(series).tolist() == [oracles.hash_string(value) for value in values]


def test_chunks_change_nothing():
    whole = pl.Series(["a", "bb", "", "dddd"])
    chunked = pl.concat([whole[:2], whole[2:]], rechunk=False)
    assert chunked.n_chunks() == 2
    assert hash_strings(chunked).tolist() == hash_strings(whole).tolist()


def test_known_values_never_change():
    assert hash_strings(pl.Series(["", "user_1"])).tolist() == [
        17665956581633026203,
        16473637295840199535,
    ]
    assert start(0).tolist() == [0xE220A8397B1DCDAF]  # splitmix64's first output


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1), st.integers(-(2**63), 2**63 - 1))
def test_fold_equals_the_oracle(states, word):
    computed = fold(np.array(states, dtype=np.uint64), np.array([word]))
    assert computed.tolist() == [oracles.fold(state, word) for state in states]
