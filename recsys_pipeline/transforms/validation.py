"""The split of landed rows into valid rows and quarantine, with a reason for each of the latter.

Rules come from the contract (`schemas.rules`). Repeats are judged among the rows that obey every
rule, so that a bad copy never costs the good one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.landing import USER_ERASED
from recsys_pipeline.schemas.quarantine import (
    DUPLICATE,
    REJECTED,
    QuarantinedInteraction,
    QuarantinedItem,
)
from recsys_pipeline.schemas.rules import Rule, frame_schema, rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandera.polars as pa

VALID = "valid"
SUPERSEDED = "superseded"
CATEGORY_ALLOWED = "category.allowed"

_RECEIPT = ["received_at", "batch_id", "position"]
_QUARANTINE = {"interactions": QuarantinedInteraction, "items": QuarantinedItem}
_CONTRACT: dict[str, type[pa.DataFrameModel]] = {"interactions": Interaction, "items": Item}

STORED_ORDER = {
    "interactions": [
        "date", "tenant", "user_id", "timestamp", "item_id", "interaction_type", "event_id",
        "rating", "context",
    ],
    "items": ["date", "tenant", "item_id"],
}  # fmt: skip


@dataclass(frozen=True)
class Split:
    """Landed rows by outcome.

    Attributes:
        valid: Rows of the contract, in the order of storage.
        quarantined: Rows of the quarantine contract, in order of receipt.
        counts: One row per (date, tenant): landed, valid, duplicate, rejected, and of these parked and
            erased (of users who were, not parked); ratings_quantised; all Int64.
    """

    valid: pl.DataFrame
    quarantined: pl.DataFrame
    counts: pl.DataFrame


def split(
    landed: pl.DataFrame, kind: str, categories: Mapping[str, Sequence[str]] | None = None
) -> Split:
    """Split landed rows of many days and tenants.

    Args:
        landed: Rows of `LandedInteraction` or `LandedItem`, in any order.
        kind: `interactions` or `items`.
        categories: Allowed categories of those tenants that have a list (items only).
    """
    model = _CONTRACT[kind]
    judging = judged_by(kind, categories)
    judged = _judged(landed, kind, judging)
    if not _is_in_order_of_receipt(judged):
        judged = judged.sort(_RECEIPT)
    good = judged.filter("_obeys")
    bad = _rejected(judged, judging)
    kept, repeats = _repeats(good, kind)
    quarantined = (
        pl.concat([bad, repeats], how="diagonal")
        .with_columns(pl.col("reasons").str.split(";").list.first().alias("reason"))
        .sort("date", "tenant", *_RECEIPT)
    )
    return Split(
        _in_stored_order(kept.select(list(frame_schema(model))), kind),
        quarantined.select(list(frame_schema(_QUARANTINE[kind]))),
        _counts(judged, kept, quarantined),
    )


def judged_by(kind: str, categories: Mapping[str, Sequence[str]] | None = None) -> tuple[Rule, ...]:
    """Return the rules by which rows are judged.

    Args:
        kind: `interactions` or `items`.
        categories: Allowed categories of those tenants that have a list (items only).
    """
    return (*rules(_CONTRACT[kind]), *_category_rules(categories or {}))


def rejected(
    landed: pl.DataFrame, kind: str, categories: Mapping[str, Sequence[str]] | None = None
) -> pl.DataFrame:
    """Return the rows that `split` would reject, with `reasons` (codes, joined by `;`).

    Each row is judged by itself, so that rows of an upload may come in blocks; repeats are not told.
    """
    judging = judged_by(kind, categories)
    return _rejected(_judged(landed, kind, judging), judging)


def _judged(landed: pl.DataFrame, kind: str, judging: Sequence[Rule]) -> pl.DataFrame:
    """Quantise ratings, and tell in `_obeys` which rows obey every rule."""
    rows = _quantise_ratings(landed) if kind == "interactions" else landed
    breaks = pl.any_horizontal(~rule.obeyed for rule in judging).fill_null(False)  # noqa: FBT003
    return rows.with_columns((pl.col("problem").is_null() & ~breaks).alias("_obeys"))


def _rejected(judged: pl.DataFrame, judging: Sequence[Rule]) -> pl.DataFrame:
    # what could not be read has no meaning to judge: the reader's verdict stands alone
    reasons = pl.when(pl.col("problem").is_not_null()).then(pl.col("problem"))
    # texts for the few: one per rule and row costs more than all of the judging
    broken = [pl.when(~rule.obeyed).then(pl.lit(rule.code)) for rule in judging]
    return judged.filter(~pl.col("_obeys")).with_columns(
        pl.lit(REJECTED).alias("outcome"),
        reasons.otherwise(pl.concat_str(broken, separator=";", ignore_nulls=True)).alias("reasons"),
    )


def _is_in_order_of_receipt(landed: pl.DataFrame) -> bool:
    """Tell whether each partition's rows are in order: a batch is read, and files are written, so."""
    later, tied = pl.lit(False), pl.lit(True)  # noqa: FBT003  # polars' own signature
    for name in _RECEIPT:
        later = later | (tied & (pl.col(name) > pl.col(name).shift()))
        tied = tied & (pl.col(name) == pl.col(name).shift())
    partition = pl.struct("date", "tenant")
    begins = partition.rle_id() != partition.rle_id().shift()
    follows = landed.select(
        (later | tied).fill_null(True).all().alias("rows"),  # noqa: FBT003
        (later | tied | begins).fill_null(True).all().alias("rows_of_runs"),  # noqa: FBT003
    ).row(0, named=True)
    if follows["rows"] or not follows["rows_of_runs"]:
        return bool(follows["rows"])
    counts = landed.select(partition.rle_id().max() + 1 == partition.n_unique())
    return bool(counts.item())


def _in_stored_order(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Sort rows as they are stored; the last columns of the order are seldom needed."""
    order = STORED_ORDER[kind]
    ordered = rows.sort(order[:5])
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in order[:5])
    tied = len(order) > 5 and ordered.select(same.any()).item()
    return rows.sort(order) if tied else ordered


def _category_rules(categories: Mapping[str, Sequence[str]]) -> list[Rule]:
    if not categories:
        return []
    allowed = pl.lit(True)  # noqa: FBT003  # polars' own signature
    for tenant, names in sorted(categories.items()):
        allowed = allowed & ((pl.col("tenant") != tenant) | pl.col("category").is_in(list(names)))
    words = "must be in the tenant's list"
    return [Rule(CATEGORY_ALLOWED, "category", words, allowed.fill_null(True))]  # noqa: FBT003


def _quantise_ratings(landed: pl.DataFrame) -> pl.DataFrame:
    hundredths = (pl.col("rating") * 100).round()
    in_range = pl.col("rating").is_between(0, 5)
    return landed.with_columns(
        pl.when(in_range).then(hundredths / 100).otherwise(pl.col("rating")).alias("rating"),
        (in_range & (hundredths / 100 != pl.col("rating"))).fill_null(False).alias("_quantised"),  # noqa: FBT003
    )


def _repeats(good: pl.DataFrame, kind: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows kept and the rows that repeat one, given rows in order of receipt."""
    fields = list(frame_schema(_CONTRACT[kind]))
    if kind == "items":
        first = good.select(pl.struct(fields).is_first_distinct()).to_series()
        exact = good.filter(~first).with_columns(pl.lit(DUPLICATE).alias("reasons"))
        versions = good.filter(first).sort(["updated_at", *_RECEIPT], nulls_last=False)
        latest = versions.select(
            pl.struct("date", "tenant", "item_id").is_last_distinct()
        ).to_series()
        older = versions.filter(~latest).with_columns(pl.lit(SUPERSEDED).alias("reasons"))
        repeats = pl.concat([exact, older])
        return versions.filter(latest), repeats.with_columns(pl.lit(DUPLICATE).alias("outcome"))
    named = pl.col("event_id").is_not_null()
    key = ["date", "tenant", "event_id"] + [
        pl.when(~named).then(pl.col(name)).alias(name)
        for name in ("user_id", "item_id", "interaction_type", "timestamp", "rating")
    ]
    first = good.select(pl.struct(key).is_first_distinct()).to_series()
    return good.filter(first), good.filter(~first).with_columns(
        pl.lit(DUPLICATE).alias("outcome"), pl.lit(DUPLICATE).alias("reasons")
    )


def _counts(judged: pl.DataFrame, kept: pl.DataFrame, quarantined: pl.DataFrame) -> pl.DataFrame:
    partition = ["date", "tenant"]

    def count(name: str, of: pl.DataFrame) -> pl.DataFrame:
        return of.group_by(partition).agg(pl.len().cast(pl.Int64).alias(name))

    quantised = kept.filter("_quantised") if "_quantised" in kept.columns else kept.clear()
    counts = count("landed", judged)
    for name, frame in (
        ("valid", kept),
        ("duplicate", quarantined.filter(pl.col("outcome") == DUPLICATE)),
        ("rejected", quarantined.filter(pl.col("outcome") == REJECTED)),
        ("parked", judged.filter("parked")),
        ("erased", judged.filter(~pl.col("parked") & pl.col("problem").eq_missing(USER_ERASED))),
        ("ratings_quantised", quantised),
    ):
        counts = counts.join(count(name, frame), on=partition, how="left")
    return counts.fill_null(0).sort(partition)


def share_counts(counts: Mapping[str, int]) -> tuple[int, int]:
    """Return rejected rows, and all rows, of which a share is taken: no parked ones, and none erased.

    Args:
        counts: Of a partition, as in `Split.counts`.
    """
    apart = counts["parked"] + counts.get("erased", 0)
    return counts["rejected"] - apart, counts["landed"] - apart


def reason_counts(quarantined: pl.DataFrame) -> dict[tuple[Any, str], dict[str, int]]:
    """Count quarantined rows by (date, tenant) and reason."""
    found: dict[tuple[Any, str], dict[str, int]] = {}
    grouped = (
        quarantined.group_by("date", "tenant", "reason").len().sort("date", "tenant", "reason")
    )
    for day, tenant, reason, rows in grouped.iter_rows():
        found.setdefault((day, tenant), {})[reason] = rows
    return found
