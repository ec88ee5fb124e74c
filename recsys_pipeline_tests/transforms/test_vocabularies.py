from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.transforms import vocabularies
from recsys_pipeline.transforms.item_frequencies import PositiveCounts, item_frequencies
from recsys_pipeline.transforms.vocabularies import FirstSeen, extend, fit, index_of
from recsys_pipeline_tests.transforms.release_rows import frame, numbered, rows


def seen(table: pl.DataFrame, parts: int) -> pl.DataFrame:
    gathered = FirstSeen()
    for n in range(parts):
        part = table.gather_every(parts, n)
        gathered.add(part["item_id"], part["timestamp"])
    return gathered.seen()


def oracle(listed, taken=()) -> list[tuple[str, int]]:
    first: dict[str, object] = {}
    for row in listed:
        at = first.setdefault(row["item_id"], row["timestamp"])
        first[row["item_id"]] = min(at, row["timestamp"])
    new = sorted((at, item) for item, at in first.items() if item not in taken)
    return [(item, 2 + len(taken) + n) for n, (_, item) in enumerate(new)]


@settings(max_examples=50, deadline=None)
@given(rows(), st.integers(1, 4), st.booleans())
def test_ids_are_numbered_as_they_were_first_seen(listed, parts, merge_always):
    limit, vocabularies._PENDING_ROWS = vocabularies._PENDING_ROWS, 0 if merge_always else 10**6
    try:
        made = fit(seen(frame(listed), parts))
    finally:
        vocabularies._PENDING_ROWS = limit
    assert made.select("id", "index").rows() == oracle(listed)
    earliest = {
        item: min(row["timestamp"] for row in listed if row["item_id"] == item)
        for item in made["id"]
    }
    assert dict(made.select("id", "first_seen").iter_rows()) == earliest


@settings(max_examples=50, deadline=None)
@given(rows(), rows(), st.integers(0, 3))
def test_extending_keeps_every_index_and_erased_ones_are_never_given_again(old, new, erased):
    parent = fit(seen(frame(old), 1))
    gone = list(parent["id"].head(erased))
    parent = parent.with_columns(
        pl.when(pl.col("id").is_in(gone)).then(None).otherwise("id").alias("id")
    )
    child = extend(parent, seen(frame(new), 1))
    assert child.head(parent.height).equals(parent)
    assert child["index"].to_list() == list(range(2, 2 + child.height))
    kept = set(parent["id"].drop_nulls())
    appended = child.slice(parent.height)
    expected = [item for item, _ in oracle([r for r in new if r["item_id"] not in kept])]
    assert appended["id"].to_list() == expected  # an erased id that comes back is a new one
    assert extend(child, seen(frame(new), 1)).equals(child)


def test_what_is_not_there_is_padding_and_what_is_unknown_is_out_of_vocabulary():
    made = fit(pl.DataFrame({"id": ["a"], "first_seen": [None]}, schema=vocabularies.SEEN_SCHEMA))
    erased = pl.DataFrame(
        {"id": [None], "index": [3], "first_seen": [None]}, schema=vocabularies.VOCABULARY_SCHEMA
    )
    found = index_of(pl.Series(["b", None, "a", ""]), pl.concat([made, erased]))
    assert found.to_list() == [1, 0, 2, 1]
    assert found.dtype == pl.Int64
    assert index_of(pl.Series([], dtype=pl.String), made).to_list() == []


@settings(max_examples=40, deadline=None)
@given(rows(), st.integers(1, 3))
def test_frequencies_count_the_positives_of_every_item(listed, parts):
    table = numbered(listed)
    counts = PositiveCounts()
    for n in range(parts):
        counts.add(table.gather_every(parts, n))
    made = item_frequencies(counts.counts(), fit(seen(table, 1)))
    expected = {
        item: sum(1 for row in listed if row["item_id"] == item and row["label"] == 1)
        for item in dict(oracle(listed))
    }
    assert dict(made.select("item_id", "positives").iter_rows()) == expected
    total = sum(expected.values())
    assert made["share"].to_list() == [n / max(total, 1) for n in expected.values()]
    assert made["index"].to_list() == list(range(2, 2 + len(expected)))


def test_an_erased_item_has_no_frequency():
    vocabulary = pl.DataFrame(
        {"id": ["a", None], "index": [2, 3], "first_seen": [None, None]},
        schema=vocabularies.VOCABULARY_SCHEMA,
    )
    counts = pl.DataFrame({"item_id": ["a", "x"], "positives": [3, 1]})
    made = item_frequencies(counts, vocabulary)
    assert made.rows() == [("a", 2, 3, 0.75), (None, 3, 0, 0.0)]
