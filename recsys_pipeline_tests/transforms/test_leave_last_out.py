from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.transforms.leave_last_out import held_out, latest_positives, leave_last_out
from recsys_pipeline_tests.transforms.release_rows import numbered, rows

ORDER = ("train", "validation", "test")


def oracle(table: pl.DataFrame) -> list[str]:
    """Sort each user's positives; a negative looks up what is held out at its user's time."""
    listed = table.to_dicts()
    split_of: dict[tuple, str] = {}
    for user in {row["user_id"] for row in listed}:
        mine = sorted(
            (row["timestamp"], row["item_id"], row["occurrence"])
            for row in listed
            if row["user_id"] == user and row["label"] == 1
        )
        if len(mine) >= 2:
            split_of[user, *mine[-1]] = "test"
        if len(mine) >= 3:
            split_of[user, *mine[-2]] = "validation"
    found = []
    for row in listed:
        user, at = row["user_id"], row["timestamp"]
        if row["label"] == 1:
            found.append(split_of.get((user, at, row["item_id"], row["occurrence"]), "train"))
        else:
            moment = [s for (u, t, *_), s in split_of.items() if (u, t) == (user, at)]
            found.append(max(moment, key=ORDER.index, default="train"))
    return found


@settings(max_examples=40, deadline=None)
@given(rows(), st.integers(1, 4))
def test_each_users_last_positives_are_held_out_with_their_negatives(listed, parts):
    table = numbered(listed)
    latest = [latest_positives(table.gather_every(parts, n)) for n in range(parts)]
    held = held_out(latest_positives(pl.concat(latest)))
    assert leave_last_out(table, held).to_list() == oracle(table)


@settings(max_examples=30, deadline=None)
@given(rows())
def test_every_user_with_a_positive_keeps_one_to_train_on(listed):
    table = numbered(listed)
    split = leave_last_out(table, held_out(latest_positives(table)))
    positives = table.with_columns(split).filter(pl.col("label") == 1)
    trained = positives.filter(pl.col("split") == "train")
    assert set(trained["user_id"]) == set(positives["user_id"])
