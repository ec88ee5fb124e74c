"""Leave-last-out: a user's last positive tests, the one before it validates, the rest train.

Other users' train rows may be later than a user's test row, so that a model can learn from what came
after it: a release split so carries a warning.
"""

from __future__ import annotations

import polars as pl

_KEY = ("user_id", "timestamp", "item_id", "occurrence")
# the third latest tells that one is left to train on when two are held out
_LATEST = 3


def latest_positives(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each user's three latest positives, or all of them where there are fewer.

    Of positives at the same time, the later is the one with the larger (item_id, occurrence). The
    result of several frames is that of `latest_positives` over their results together.

    Args:
        rows: Columns `user_id`, `timestamp`, `item_id`, `occurrence` and `label`.

    Returns:
        These columns, sorted by the first four.
    """
    positives = rows.select(*_KEY, "label").filter(pl.col("label") == 1)
    return positives.sort(_KEY).group_by("user_id", maintain_order=True).tail(_LATEST)


def held_out(latest: pl.DataFrame) -> pl.DataFrame:
    """Choose the positives that are held out; each user keeps one to train on.

    A user with one positive has none held out, a user with two has one to test.

    Args:
        latest: What `latest_positives` returns.

    Returns:
        Columns `user_id`, `timestamp`, `item_id`, `occurrence` and `split`.
    """
    count = pl.len().over("user_id")
    rank = pl.int_range(pl.len()).reverse().over("user_id")
    return (
        latest.sort(_KEY)
        .with_columns(
            pl.when((rank == 0) & (count >= 2))
            .then(pl.lit("test"))
            .when((rank == 1) & (count >= 3))
            .then(pl.lit("validation"))
            .alias("split")
        )
        .filter(pl.col("split").is_not_null())
        .select(*_KEY, "split")
    )


def leave_last_out(rows: pl.DataFrame, held: pl.DataFrame) -> pl.Series:
    """Return the split of each row.

    A negative goes with its positive: it shares user and time with it. Where positives of several
    splits share both, it goes with the latest of them.

    Args:
        rows: Columns `user_id`, `timestamp`, `item_id`, `occurrence` and `label`.
        held: What `held_out` returns.

    Returns:
        `train`, `validation` or `test`, in the order of rows.
    """
    is_test = (pl.col("split") == "test").any()
    moments = held.group_by("user_id", "timestamp").agg(
        pl.when(is_test).then(pl.lit("test")).otherwise(pl.lit("validation")).alias("of_moment")
    )
    found = (
        rows.select(*_KEY, "label")
        .join(held, on=list(_KEY), how="left", maintain_order="left")
        .join(moments, on=["user_id", "timestamp"], how="left", maintain_order="left")
    )
    own = pl.when(pl.col("label") == 1).then("split").otherwise("of_moment")
    return found.select(own.fill_null("train").alias("split")).to_series()
