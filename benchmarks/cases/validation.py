"""The contract of events judged over Parquet: rows that break each rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from benchmarks.data import events_file

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = ("view", "click", "like", "add_to_cart", "purchase")


def ours(millions: int) -> Callable[[], object]:
    """The rules of the contract, in one streaming pass."""
    from recsys_pipeline.schemas.interactions import Interaction
    from recsys_pipeline.schemas.rules import rules

    path = events_file(millions)

    def work() -> pl.DataFrame:
        events = pl.scan_parquet(path)
        known = [rule for rule in rules(Interaction) if rule.column in events.collect_schema()]
        broken = [(~rule.obeyed).sum().alias(rule.code) for rule in known]
        found: pl.DataFrame = events.select(broken).collect(engine="streaming")
        return found

    return work


def duckdb(millions: int) -> Callable[[], object]:
    """The same rules in SQL."""
    import duckdb as engine

    path = events_file(millions)
    kinds = ", ".join(f"'{kind}'" for kind in TYPES)
    rules = [
        "user_id IS NULL", "length(user_id) NOT BETWEEN 1 AND 255", "contains(user_id, chr(0))",
        "item_id IS NULL", "length(item_id) NOT BETWEEN 1 AND 255", "contains(item_id, chr(0))",
        f"interaction_type IS NULL OR interaction_type NOT IN ({kinds})", "timestamp IS NULL",
        "NOT rating BETWEEN 0 AND 5",
    ]  # fmt: skip

    def work() -> object:
        counts = ", ".join(f"count(*) FILTER ({rule})" for rule in rules)
        connection = engine.connect(config={"threads": 2})
        return connection.execute(f"SELECT {counts} FROM '{path}'").fetchall()

    return work
