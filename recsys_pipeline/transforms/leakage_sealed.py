"""What the leakage check knows of events that retention has sealed: sums and pairs, no events."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

ADDED = (
    "total_interactions", "rating_count", "num_views", "num_clicks", "num_likes", "num_cart_adds",
    "num_purchases",
)  # fmt: skip
UNIQUE = {"user_id": "unique_items", "item_id": "unique_users"}


@dataclass(frozen=True)
class Sealed:
    """Sums over the sealed events of a tenant.

    Attributes:
        totals: By `user_id` and `item_id`: frames of that id, the columns `ADDED`, `unique` (Int64),
            `rating_sum` (Int64, hundredths), `first_interaction` and `last_interaction`.
        met: Every `user_id` and `item_id` that have met, and whether by more than views (`engaged`).
    """

    totals: dict[str, pl.DataFrame]
    met: pl.DataFrame


def with_sealed(
    derived: pl.LazyFrame,
    history: pl.LazyFrame,
    days: pl.LazyFrame,
    entity: str,
    sealed: Sealed,
) -> pl.LazyFrame:
    """Add sealed events to features that were derived from those after them.

    Args:
        derived: Columns tenant, entity, day, and `derived_` features.
        history: The events that each (tenant, entity, day) may know.
        days: Those (tenant, entity, day).
        entity: `user_id` or `item_id`.
        sealed: The sealed events.

    Returns:
        The same columns, one row for each of `days` with any event.
    """
    keys = ["tenant", entity, "day"]
    unique = UNIQUE[entity]
    names = derived.collect_schema().names()
    fresh = (
        history.join(sealed.met.lazy(), on=["user_id", "item_id"], how="anti")
        .group_by(keys)
        .agg(pl.col("item_id" if entity == "user_id" else "user_id").n_unique().alias("_fresh"))
    )
    ratings = history.group_by(keys).agg((pl.col("rating") * 100).round().sum().alias("_sum"))
    before = (
        sealed.totals[entity].lazy().rename(lambda name: f"_{name}" if name != entity else name)
    )
    joined = (
        days.join(derived, on=keys, how="left")
        .join(fresh, on=keys, how="left")
        .join(ratings, on=keys, how="left")
        .join(before, on=entity, how="left")
        .filter(pl.col("_total_interactions").is_not_null() | pl.col("_sum").is_not_null())
    )
    made = {f"derived_{name}": _sum(f"derived_{name}", f"_{name}") for name in ADDED}
    made[f"derived_{unique}"] = _sum("_fresh", "_unique")
    count = _sum("derived_rating_count", "_rating_count")
    made["derived_avg_rating"] = pl.when(count > 0).then(_sum("_sum", "_rating_sum") / 100 / count)
    for name, bound in (
        ("first_interaction", pl.min_horizontal),
        ("last_interaction", pl.max_horizontal),
    ):
        made[f"derived_{name}"] = bound(f"derived_{name}", f"_{name}")
    return joined.with_columns(made[name].alias(name) for name in names if name in made).select(
        names
    )


def _sum(left: str, right: str) -> pl.Expr:
    return pl.col(left).fill_null(0) + pl.col(right).fill_null(0)
