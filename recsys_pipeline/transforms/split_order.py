"""Whether the splits of a fold are in the order of time, judged by the rows that were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from recsys_pipeline.schemas.keys import UTC_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

_USER_SCHEMA = {"user_id": pl.String(), "first": UTC_TIME, "last": UTC_TIME}


class RowTimes:
    """Gathers the first and last time of a split's rows, by user or of all.

    Args:
        by_user: Keep the times of each user apart.
    """

    def __init__(self, *, by_user: bool) -> None:
        self._key = [pl.col("user_id") if by_user else pl.lit("").alias("user_id")]
        self._times = pl.DataFrame(schema=_USER_SCHEMA)

    def add(self, rows: pl.DataFrame) -> None:
        """Take up rows with columns `user_id` and `timestamp`."""
        part = rows.select(
            *self._key,
            pl.col("timestamp").alias("first"),
            pl.col("timestamp").alias("last"),
        )
        self._times = (
            pl.concat([self._times, part])
            .group_by("user_id")
            .agg(pl.col("first").min(), pl.col("last").max())
        )

    def times(self) -> pl.DataFrame:
        """Return columns `user_id` (empty when of all), `first` and `last`, in no order."""
        return self._times


def out_of_order(times: Mapping[str, pl.DataFrame], *, ties: bool) -> list[tuple[str, str, int]]:
    """Compare each split with every later one.

    Args:
        times: What `RowTimes.times` returns, by split, in the order of time.
        ties: Whether a row may be as late as the first of a later split.

    Returns:
        Pairs of splits of which the earlier has rows that are too late, and for how many users (1 when
        times are of all).
    """
    found = []
    names = list(times)
    for at, earlier in enumerate(names):
        for later in names[at + 1 :]:
            both = times[earlier].join(times[later], on="user_id", suffix="_later")
            late = pl.col("last") > pl.col("first_later")
            if not ties:
                late = pl.col("last") >= pl.col("first_later")
            count = both.filter(late).height
            if count:
                found.append((earlier, later, count))
    return found
