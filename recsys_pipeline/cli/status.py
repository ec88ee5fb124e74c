"""`recsys status`: what is landed, published, stale and held, and how far topics have landed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from recsys_pipeline.cli.console import out, print_json, table
from recsys_pipeline.cli.kafka import lag_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from recsys_pipeline.engines.pending import Standing
    from recsys_pipeline.ingestion.kafka_offsets import PartitionLag
    from recsys_pipeline.settings import Settings

# the state of the data does not wait long for a broker
ANSWER_SECONDS = 5.0


def status(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only this tenant.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show each layer's days by state, and which days are held or stale.

    Example: `recsys status --tenant acme`
    """
    from recsys_pipeline.engines.pending import standings
    from recsys_pipeline.resources.pipeline import open_view
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.tenants import check_name

    settings = get_settings()
    view = open_view(None, [check_name(tenant)] if tenant else None)
    layers, held = _layers(standings(view))
    landed: dict[str, int] = {}
    early = 0
    for name in {tenant for _, tenant in view.landed("items")}:
        landed[name] = 0
    for (day, name), found in view.landed("interactions").items():
        landed[name] = landed.get(name, 0) + found.rows
        early += found.rows if day < settings.start_date else 0
    lags, problems = _lags(settings)
    if json:
        print_json(
            {
                "landed": landed,
                "layers": [{"tenant": t, "asset": a, **e} for (t, a), e in sorted(layers.items())],
                "held": held,
                "before_start": early,
                "topics": [vars(lag) for lag in lags],
                "problems": problems,
            }
        )
        return
    _print_topics(lags, problems)
    if not landed:
        out.print("Nothing is landed yet. Start with `recsys ingest interactions FILE --tenant T`.")
        return
    out.print(_table(settings.storage_root, landed, layers))
    if early:
        out.print(
            f"{early:,} landed events are before the start date {settings.start_date}; "
            "lower RECSYS_START_DATE to see them."
        )
    for day_, name, asset in held:
        kind = asset.removeprefix("validated_")
        out.print(
            f"[yellow]held[/yellow] {day_} {name} {asset}: "
            f"recsys quarantine accept --tenant {name} --date {day_} --kind {kind}"
        )
    for name in sorted(view.refused):
        out.print(
            f"[yellow]not run[/yellow] {name}: add [tenants.{name}] to {settings.tenants_file}"
        )
    if any(e["stale"] or e["missing"] for e in layers.values()):
        out.print("Stale and missing days are made by `recsys run`.")


def _lags(settings: Settings) -> tuple[list[PartitionLag], list[str]]:
    """Return how far the topics have landed, and why it can't be told; nothing without Kafka."""
    from recsys_pipeline.errors import KafkaError
    from recsys_pipeline.ingestion.kafka_landing import topics
    from recsys_pipeline.ingestion.kafka_offsets import topic_lag
    from recsys_pipeline.kafka.config import is_configured

    lags: list[PartitionLag] = []
    problems: list[str] = []
    for topic in topics(settings) if is_configured(settings) else ():
        try:
            lags += topic_lag(settings, topic, ANSWER_SECONDS)
        except KafkaError as error:
            problems.append(str(error))
    return lags, problems


def _print_topics(lags: list[PartitionLag], problems: list[str]) -> None:
    if lags:
        out.print(lag_table(lags), "")
    for problem in problems:
        out.print(f"[yellow]![/yellow] {escape(problem)}")


Layers = dict[tuple[str, str], dict[str, int]]


def _layers(standings: Iterable[Standing]) -> tuple[Layers, list[tuple[str, str, str]]]:
    """Count days by state for each (tenant, asset), and list the held validated days."""
    layers: Layers = {}
    held: set[tuple[str, str, str]] = set()
    for standing in standings:
        entry = layers.setdefault(
            (standing.tenant, standing.asset),
            {"rows": 0, "current": 0, "stale": 0, "missing": 0, "held": 0},
        )
        entry["rows"] += standing.rows
        entry[standing.state] += 1
        if standing.state == "held" and standing.asset.startswith("validated_"):
            held.add((str(standing.day), standing.tenant, standing.asset))
    return layers, sorted(held)


def _table(root: str, landed: dict[str, int], layers: Layers) -> Table:
    from recsys_pipeline.engines.pending import STORED

    states = ("rows", "current", "stale", "missing", "held")
    rows: list[tuple[object, ...]] = []
    for name in sorted(landed):
        rows.append((name, "landed events", landed[name], "", "", "", ""))
        rows += [
            ("", asset, *(layers[name, asset][state] for state in states))
            for asset in STORED
            if (name, asset) in layers
        ]
    return table(f"Days by state below {root}", ("tenant", "layer", *states), rows)
