"""What Dagster shows of a contract: column schema, column lineage and the Dagster type."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from recsys_pipeline.schemas.features import ITEM_FEATURE_NAMES, USER_FEATURE_NAMES
from recsys_pipeline.schemas.rules import rules
from recsys_pipeline.schemas.samples import CATALOGUE_FEATURES, SAMPLE_FEATURES
from recsys_pipeline.schemas.tables import CONTRACTS

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVENTS = dg.AssetKey("validated_interactions")

# which columns of an event each feature is computed from, besides its key
_TYPED = {
    "num_views", "num_clicks", "num_likes", "num_cart_adds", "num_purchases", "conversion_rate",
    "cart_conversion_rate", "purchase_rate", "click_through_rate", "engagement_score",
}  # fmt: skip
_TIMED = {
    "first_interaction", "last_interaction", "days_active", "interactions_per_day",
    "active_day_count", "recent_items",
}  # fmt: skip
_RATED = {"avg_rating", "rating_count"}


@cache
def table_schema(asset: str) -> dg.TableSchema:
    """Return a stored table's columns with dtypes, descriptions and row rules."""
    model = CONTRACTS[asset]
    words: dict[str, list[str]] = {}
    for rule in rules(model):
        if not rule.code.endswith(".required"):
            words.setdefault(rule.column, []).append(rule.words.replace("`", ""))
    schema = model.to_schema()
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                str(column.dtype.type),
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, other=words.get(name)
                ),
            )
            for name, column in schema.columns.items()
        ]
    )


@cache
def contract_type(asset: str) -> dg.DagsterType:
    """Return dagster-pandera's type of a contract, taking lazy frames as well as eager ones.

    The type that dagster-pandera makes claims pandas in its signature and judges eager frames
    only, so it is rebuilt around its check function and its column metadata. A stream of days
    passes: its rows are judged by the asset check once they are stored.
    """
    import warnings

    from dagster_pandera import pandera_schema_to_dagster_type

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        made = pandera_schema_to_dagster_type(CONTRACTS[asset].to_schema())

    def check(context: dg.TypeCheckContext, value: object) -> dg.TypeCheck:
        frame = value.collect() if isinstance(value, pl.LazyFrame) else value
        if not isinstance(frame, pl.DataFrame):
            streamed = isinstance(frame, Iterator)
            return dg.TypeCheck(
                streamed, description="a stream of days" if streamed else "no frame"
            )
        return made.type_check(context, frame)

    return dg.DagsterType(
        type_check_fn=check,
        name=f"{CONTRACTS[asset].__name__}Frame",
        description=CONTRACTS[asset].__doc__,
        metadata=made.metadata,
    )


def column_lineage(asset: str) -> dg.TableColumnLineage | None:
    """Return from which upstream columns each derived column comes, or None for copies."""
    if asset == "user_features":
        return _feature_lineage("user_id", "item_id", USER_FEATURE_NAMES)
    if asset == "item_features":
        return _feature_lineage("item_id", "user_id", ITEM_FEATURE_NAMES)
    if asset == "training_samples":
        return _sample_lineage()
    return None


def _feature_lineage(key: str, other: str, names: tuple[str, ...]) -> dg.TableColumnLineage:
    columns = {key: [key], "as_of": ["date"]}
    for name in names:
        inputs = {key}
        if name in {"unique_items", "unique_users", "recent_items"}:
            inputs.add(other)
        if name in _TYPED:
            inputs.add("interaction_type")
        if name in _TIMED:
            inputs.add("timestamp")
        if name in _RATED:
            inputs.add("rating")
        columns[name] = sorted(inputs)
    return _lineage({n: [(_EVENTS, c) for c in inputs] for n, inputs in columns.items()})


def _sample_lineage() -> dg.TableColumnLineage:
    catalogue = dg.AssetKey("validated_items")
    columns: dict[str, list[tuple[dg.AssetKey, str]]] = {
        "user_id": [(_EVENTS, "user_id")],
        "item_id": [(_EVENTS, "item_id"), (catalogue, "item_id")],
        "label": [(_EVENTS, "interaction_type")],
        "timestamp": [(_EVENTS, "timestamp")],
        "sampling_probability": [(_EVENTS, "item_id"), (catalogue, "item_id")],
        "conditional_probability": [(_EVENTS, "item_id"), (catalogue, "item_id")],
    }
    for name in SAMPLE_FEATURES:
        side, _, feature = name.partition("_")
        if side == "item" and feature in CATALOGUE_FEATURES:
            columns[name] = [(catalogue, feature)]
        else:
            columns[name] = [(dg.AssetKey(f"{side}_features"), feature)]
    return _lineage(columns)


def _lineage(columns: Mapping[str, list[tuple[dg.AssetKey, str]]]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key=key, column_name=column) for key, column in deps]
            for name, deps in columns.items()
        }
    )


def stored(asset: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # Dagster's raw metadata
    """Return the definition metadata of a stored table."""
    return {"dagster/column_schema": table_schema(asset), **more}
