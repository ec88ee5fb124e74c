"""What user and item features have in common: formulas over totals that are integers.

Everything summed is an integer; divisions come last, so the row order, the chunking and the
thread count can't change a bit of the result.
"""

from __future__ import annotations

import polars as pl

from recsys_pipeline.schemas.keys import UTC_TIME

COUNTS = {
    "num_views": "view",
    "num_clicks": "click",
    "num_likes": "like",
    "num_cart_adds": "add_to_cart",
    "num_purchases": "purchase",
}


def end_of_day() -> pl.Expr:
    """Return `as_of`: 00:00 UTC of the day after `date`."""
    next_day = pl.col("date").dt.offset_by("1d")
    return next_day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(UTC_TIME)


def ratio(numerator: str, denominator: str) -> pl.Expr:
    """Divide two integer columns; null where the denominator is 0."""
    below = pl.col(denominator)
    return pl.when(below > 0).then(pl.col(numerator) / below)


def average_rating() -> pl.Expr:
    """Return sum of hundredths / (100 x count): one rounding; null without ratings."""
    count = pl.col("rating_count")
    return pl.when(count > 0).then(pl.col("rating_sum") / (count * 100))
