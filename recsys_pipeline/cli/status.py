"""`recsys status`: what is landed, published, stale and held."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from recsys_pipeline.cli.console import out, print_json, table

def status(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show each layer's days by state, and which days are held or stale.

    Example: `recsys status --tenant acme`
    """
    from recsys_pipeline.engines.pending import STORED, standings
    from recsys_pipeline.resources.pipeline import open_view
    from recsys_pipeline.settings import get_settings
    from recsys_pipeline.tenants import check_name

    settings = get_settings()
    view = open_view(None, [check_name(tenant)] if tenant else None)
    counted: dict[tuple[str, str], dict[str, Any]] = {}
    held: set[tuple[str, str, str]] = set()
    for standing in standings(view):
        entry = counted.setdefault(
            (standing.tenant, standing.asset),
            {"rows": 0, "current": 0, "stale": 0, "missing": 0, "held": 0},
        )
        entry["rows"] += standing.rows
        entry[standing.state] += 1
        if standing.state == "held" and standing.asset.startswith("validated_"):
            held.add((str(standing.day), standing.tenant, standing.asset))
    landed: dict[str, int] = {}
    early = 0
    for (day, name), found in view.landed("interactions").items():
        landed[name] = landed.get(name, 0) + found.rows
        early += found.rows if day < settings.start_date else 0
    if json:
        rows = [{"tenant": t, "asset": a, **e} for (t, a), e in sorted(counted.items())]
        print_json({"landed": landed, "layers": rows, "held": sorted(held), "early": early})
        return
    if not landed:
        out.print("Nothing is landed yet. Start with `recsys ingest interactions FILE --tenant T`.")
        return
    columns = ("tenant", "layer", "rows", "current", "stale", "missing", "held")
    rows_ = []
    for name in sorted(landed):
        rows_.append((name, "landed events", landed[name], "", "", "", ""))
        for asset in STORED:
            if (name, asset) in counted:
                e = counted[name, asset]
                rows_.append(
                    ("", asset, e["rows"], e["current"], e["stale"], e["missing"], e["held"])
                )
    out.print(table(f"Days by state below {settings.storage_root}", columns, rows_))
    if early:
        out.print(
            f"{early:,} landed events are before the start date {settings.start_date}; "
            "lower RECSYS_START_DATE to see them."
        )
    for day_, name, asset in sorted(held):
        kind = asset.removeprefix("validated_")
        out.print(
            f"[yellow]held[/yellow] {day_} {name} {asset}: "
            f"recsys quarantine accept --tenant {name} --date {day_} --kind {kind}"
        )
    if any(e["stale"] or e["missing"] for e in counted.values()):
        out.print("Stale and missing days are made by `recsys run`.")
