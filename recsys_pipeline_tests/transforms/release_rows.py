"""Rows of small releases in which ties and repeats are the rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

from recsys_pipeline.schemas.keys import UTC_TIME
from recsys_pipeline.transforms.shuffle import occurrences

START = datetime(2025, 1, 1, tzinfo=UTC)
SCHEMA = {
    "user_id": pl.String(),
    "item_id": pl.String(),
    "label": pl.Float64(),
    "timestamp": UTC_TIME,
    "negative_source": pl.String(),
}

_ROW = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["u1", "u2", "é", ""]),
        "item_id": st.sampled_from(["A", "a", "b", "ß"]),
        "label": st.sampled_from([0.0, 1.0]),
        "timestamp": st.integers(0, 4).map(lambda hours: START + timedelta(hours=hours)),
        "negative_source": st.sampled_from([None, "uniform", "popularity"]),
    }
)


def rows(max_size=25):
    return st.lists(_ROW, max_size=max_size)


def frame(listed) -> pl.DataFrame:
    """Rows without occurrences."""
    return pl.DataFrame(listed, schema=SCHEMA)


def numbered(listed) -> pl.DataFrame:
    """Rows with occurrences."""
    made = frame(listed)
    return made.with_columns(occurrences(made))
