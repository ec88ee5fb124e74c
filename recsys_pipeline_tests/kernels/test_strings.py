from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.kernels.strings import dense_codes, find, hash_words, sorted_order
from recsys_pipeline.transforms.entities import arrow_strings, string_buffers
from recsys_pipeline_tests import oracles

# short, so that repeats, prefixes of one another and the empty string are the rule
texts = st.lists(st.text("aé\x00b", max_size=3), max_size=60)


def buffers(values):
    return string_buffers(arrow_strings(pl.Series(values, dtype=pl.String)))


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=30))
def test_hashes_equal_the_oracle(values):
    assert hash_words(*buffers(values)).tolist() == list(map(oracles.hash_string, values))


@settings(deadline=None)
@given(texts, st.booleans())
def test_codes_number_the_distinct_strings_even_when_hashes_collide(values, collide):
    hashes = hash_words(*buffers(values))
    if collide:
        hashes = hashes % np.uint64(2)
    codes, firsts = dense_codes(*buffers(values), hashes)
    assert [values[firsts[code]] for code in codes] == values
    assert len(firsts) == len(set(values))


def test_codes_of_many_strings():
    values = [f"user-{n % 20_000}" for n in range(50_000)]
    codes, firsts = dense_codes(*buffers(values), hash_words(*buffers(values)))
    assert len(firsts) == 20_000
    assert (firsts[codes] % 20_000 == np.arange(50_000) % 20_000).all()


@settings(deadline=None)
@given(st.lists(st.text("aéb", max_size=3), unique=True), texts, st.booleans())
def test_known_strings_are_found_even_when_hashes_collide(known, asked, collide):
    known_hashes, hashes = hash_words(*buffers(known)), hash_words(*buffers(asked))
    if collide:
        known_hashes, hashes = known_hashes % np.uint64(2), hashes % np.uint64(2)
    by_hash = np.argsort(known_hashes, kind="stable")
    found = find(*buffers(asked), hashes, *buffers(known), known_hashes[by_hash], by_hash)
    codes = {text: code for code, text in enumerate(known)}
    assert found.tolist() == [codes.get(text, -1) for text in asked]


def test_a_slice_of_strings_is_coded_by_its_own_rows():
    sliced = arrow_strings(pl.Series(["x", "left", "right", "left"])).slice(1)
    offsets, data = string_buffers(sliced)
    codes, _ = dense_codes(offsets, data, hash_words(offsets, data))
    assert codes[0] == codes[2] != codes[1]


alike = st.text("a\x00é", max_size=3).map(lambda tail: "prefix-that-is-long" + tail)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab\x00é😀", max_size=10) | alike, unique=True, max_size=40))
def test_strings_are_ordered_by_their_bytes(values):
    order = sorted_order(*buffers(values))
    assert [values[row] for row in order] == sorted(values, key=str.encode)


def test_many_strings_are_ordered_as_polars_orders_them():
    values = pl.Series([f"user-{(n * 7919) % 100_003}" for n in range(100_003)])
    order = sorted_order(*buffers(values.to_list()))
    assert values.gather(order).to_list() == values.sort().to_list()
