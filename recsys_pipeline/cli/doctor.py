"""`recsys doctor`."""

from __future__ import annotations

import json as json_format
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

_SIGNS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "wrong": "[red]✗[/red]"}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine, the installation, the settings and the services that they name.

    Exit code 1 when something is wrong; a warning alone leaves it at 0.

    Example: `recsys doctor`
    """
    from recsys_pipeline.maintenance.doctor import examine

    findings = examine(_switched)
    wrong = sum(finding.status == "wrong" for finding in findings)
    if json:
        typer.echo(json_format.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True)
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            console.print(
                f"{_SIGNS[finding.status]} {finding.check:<{width}}  {escape(finding.found)}"
            )
            if finding.fix:
                console.print(f"  {'':<{width}}  → {escape(finding.fix)}")
        warnings = sum(finding.status == "warning" for finding in findings)
        console.print(f"{wrong} wrong, {warnings} to look at, {len(findings)} checked")
    raise typer.Exit(1 if wrong else 0)


def _switched() -> dict[str, bool]:
    from recsys_pipeline.resources.switched_schedules import switched_schedules
    from recsys_pipeline.runs import dagster_instance

    with dagster_instance() as instance:
        return switched_schedules(instance)
