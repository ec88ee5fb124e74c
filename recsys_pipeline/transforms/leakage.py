"""Leakage check of training samples: re-derive a sample of rows from the events alone.

It shares no code with the transforms that made the rows: each row's history is filtered and
summed anew.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys_pipeline.schemas.keys import UTC_TIME
from recsys_pipeline.transforms.leakage_sealed import Sealed, with_sealed
from recsys_pipeline.transforms.stable_hash import fold, hash_strings, start

LEAK_SCHEMA = {
    "rule": pl.String(),
    "column": pl.String(),
    "tenant": pl.String(),
    "date": pl.Date(),
}

REDERIVED = "leakage.rederived"
FEATURE_TIME = "leakage.feature_time"
NEGATIVE_MET = "leakage.negative_met"
NEGATIVE_NOT_VIEWED = "leakage.negative_not_viewed"
POSITIVE_WITHOUT_EVENT = "leakage.positive_without_event"

_OTHER = {"user_id": "item_id", "item_id": "user_id"}
_TYPES = {
    "num_views": "view",
    "num_clicks": "click",
    "num_likes": "like",
    "num_cart_adds": "add_to_cart",
    "num_purchases": "purchase",
}


def find_leaks(
    samples: pl.DataFrame,
    events: pl.LazyFrame,
    sample_size: int,
    seed: int,
    sealed: Sealed | None = None,
) -> pl.DataFrame:
    """Look for rows that know what they could not have known on their day.

    Every row: no feature time at or after 00:00 UTC of its day. A sample of rows, chosen by a
    stable hash: the counts, times and mean rating of its user and item equal those summed anew
    over the events of earlier days; a negative has no event of its user up to the end of its
    day, or, drawn from `viewed`, views and nothing else; a positive has one at its time.

    Args:
        samples: Columns of `TrainingSample`, or some of them with `SAMPLE_KEYS`.
        events: Accepted events (columns of `Interaction`) up to the last day of the samples.
        sample_size: Rows that are re-derived.
        seed: Seed of their choice.
        sealed: What is known of events before those of `events`.

    Returns:
        Columns rule, column, tenant, date: one row per violation, without ids.
    """
    found = [pl.DataFrame(schema=LEAK_SCHEMA), *_late_features(samples)]
    chosen = _choose(samples, sample_size, seed).with_row_index("row")
    found += _wrong_labels(chosen, events, sealed)
    for entity, prefix in (("user_id", "user"), ("item_id", "item")):
        found += _wrong_features(chosen, events, entity, prefix, sealed)
    return pl.concat(found).sort("date", "tenant", "rule", "column")


def _violations(rows: pl.DataFrame, rule: str, column: str) -> pl.DataFrame:
    return rows.select(pl.lit(rule).alias("rule"), pl.lit(column).alias("column"), "tenant", "date")


def _choose(samples: pl.DataFrame, sample_size: int, seed: int) -> pl.DataFrame:
    """Return the rows with the smallest hashes of their keys."""
    state = np.repeat(start(seed), samples.height)
    for column in ("tenant", "user_id", "item_id"):
        state = fold(state, hash_strings(samples[column]))
    state = fold(state, samples["timestamp"].to_physical().to_numpy())
    order = np.argsort(state, kind="stable")[:sample_size]
    return samples[order]


def _late_features(samples: pl.DataFrame) -> list[pl.DataFrame]:
    day_start = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(UTC_TIME)
    columns = [
        f"{prefix}_{name}"
        for prefix in ("user", "item")
        for name in ("first_interaction", "last_interaction")
    ]
    return [
        _violations(samples.filter(pl.col(column) >= day_start), FEATURE_TIME, column)
        for column in columns
        if column in samples.columns
    ]


def _wrong_labels(
    chosen: pl.DataFrame, events: pl.LazyFrame, sealed: Sealed | None
) -> list[pl.DataFrame]:
    keys = ["tenant", "user_id", "item_id"]
    events_met = (
        chosen.lazy()
        .select("row", *keys, pl.col("date").alias("day"), pl.col("timestamp").alias("time"))
        .join(events.select(*keys, "date", "timestamp", "interaction_type"), on=keys)
        .filter(pl.col("date") <= pl.col("day"))
    )
    if sealed is not None:
        events_met = pl.concat([events_met, _met_before(chosen, sealed)], how="diagonal")
    met = (
        events_met.group_by("row")
        .agg(
            (pl.col("timestamp") == pl.col("time")).any().alias("at_time"),
            (pl.col("interaction_type") == "view").all().alias("only_viewed"),
        )
        .collect()
    )
    at_time = met.filter("at_time")["row"].implode()
    only_viewed = met.filter("only_viewed")["row"].implode()
    negative = pl.col("label") == 0
    viewed = pl.col("negative_source").eq_missing(pl.lit("viewed"))
    return [
        _violations(
            chosen.filter(negative & ~viewed & pl.col("row").is_in(met["row"].implode())),
            NEGATIVE_MET,
            "item_id",
        ),
        _violations(
            chosen.filter(negative & viewed & ~pl.col("row").is_in(only_viewed)),
            NEGATIVE_NOT_VIEWED,
            "item_id",
        ),
        _violations(
            chosen.filter(~negative & ~pl.col("row").is_in(at_time)),
            POSITIVE_WITHOUT_EVENT,
            "timestamp",
        ),
    ]


def _met_before(chosen: pl.DataFrame, sealed: Sealed) -> pl.LazyFrame:
    """Return rows whose user and item have met in sealed events, as if by an event of no time."""
    met = chosen.select("row", "user_id", "item_id").join(sealed.met, on=["user_id", "item_id"])
    engaged = pl.when("engaged").then(pl.lit("engaged")).otherwise(pl.lit("view"))
    return met.lazy().select("row", engaged.alias("interaction_type"))


def _derivations(entity: str) -> dict[str, pl.Expr]:
    """Return the features that are re-derived, each over the events of one row's history."""
    other = _OTHER[entity]
    rating = pl.col("rating")
    return {
        "total_interactions": pl.len(),
        "unique_items" if other == "item_id" else "unique_users": pl.col(other).n_unique(),
        "rating_count": rating.count(),
        "avg_rating": rating.mean(),
        "first_interaction": pl.col("timestamp").min(),
        "last_interaction": pl.col("timestamp").max(),
        **{name: (pl.col("interaction_type") == word).sum() for name, word in _TYPES.items()},
    }


def _wrong_features(
    chosen: pl.DataFrame, events: pl.LazyFrame, entity: str, prefix: str, sealed: Sealed | None
) -> list[pl.DataFrame]:
    derivations = {
        f"{prefix}_{name}": expression
        for name, expression in _derivations(entity).items()
        if f"{prefix}_{name}" in chosen.columns
    }
    if not derivations:
        return []
    keys = ["tenant", entity]
    days = chosen.lazy().select(*keys, pl.col("date").alias("day")).unique()
    history = days.join(events, on=keys).filter(pl.col("date") < pl.col("day"))
    derived = history.group_by(*keys, "day").agg(
        **{
            f"derived_{name}": expression
            for name, expression in _derivations(entity).items()
            if sealed is not None or f"{prefix}_{name}" in derivations
        }
    )
    if sealed is not None:
        derived = with_sealed(derived, history, days, entity, sealed)
    derived = derived.rename(
        {f"derived_{name.removeprefix(f'{prefix}_')}": f"derived_{name}" for name in derivations}
    )
    compared = (
        chosen.lazy()
        .join(derived, left_on=[*keys, "date"], right_on=[*keys, "day"], how="left")
        .collect()
    )
    return [
        _violations(compared.filter(_differ(compared, name)), REDERIVED, name)
        for name in derivations
    ]


def _differ(compared: pl.DataFrame, name: str) -> pl.Expr:
    stored, derived = pl.col(name), pl.col(f"derived_{name}")
    if compared.schema[name].is_float():
        # the re-derivation sums floats; a leak moves a mean of hundredths by far more
        near = (stored - derived).abs() <= 1e-9
        return ~(near.fill_null(value=False) | (stored.is_null() & derived.is_null()))
    return stored.ne_missing(derived.cast(compared.schema[name]))
