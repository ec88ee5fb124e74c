"""`recsys alerts`: what the operator was told of, and whether a message arrives."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from recsys_pipeline.cli.console import out, print_json, table

app = typer.Typer(
    help="Troubles that the operator is told of: failed runs, held days.", no_args_is_help=True
)


@app.command("list")
def list_(json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the troubles that have not ended, and what to do about each.

    Example: `recsys alerts list`
    """
    from dataclasses import asdict

    from recsys_pipeline.observability.troubles import KINDS, open_troubles
    from recsys_pipeline.resources.pipeline import open_store_of_settings

    objects = open_store_of_settings()
    found = [trouble for kind in KINDS for trouble in open_troubles(objects, kind)]
    if json:
        print_json([asdict(trouble) for trouble in found])
    elif found:
        rows = [(t.kind, t.asset, t.tenant or "all", t.words, t.command) for t in found]
        out.print(table("", ("kind", "asset", "tenant", "what", "next"), rows, whole=("kind",)))
    else:
        out.print("Nothing is amiss.")


@app.command("end")
def end_(
    kind: Annotated[str, typer.Option(metavar="KIND", help="run_failed or held.")],
    asset: Annotated[str, typer.Option(metavar="NAME", help="As `recsys alerts list` says.")],
    tenant: Annotated[str, typer.Option(metavar="NAME", help="Its tenant; none: all.")] = "",
) -> None:
    """Say that a trouble is over where the pipeline can't know: another job has made its days.

    Example: `recsys alerts end --kind run_failed --asset user_features --tenant acme`
    """
    from recsys_pipeline.errors import SettingsError
    from recsys_pipeline.observability.troubles import KINDS, end, open_troubles
    from recsys_pipeline.resources.pipeline import open_store_of_settings
    from recsys_pipeline.settings import get_settings

    objects = open_store_of_settings()
    chosen = [one for one in KINDS if one == kind]
    found = [
        trouble
        for one in chosen
        for trouble in open_troubles(objects, one)
        if (trouble.asset, trouble.tenant) == (asset, tenant)
    ]
    if not found:
        raise SettingsError(
            f"{kind} {asset} {tenant}".strip(), "is no open trouble", "See `recsys alerts list`"
        )
    for trouble in found:
        end(get_settings(), objects, trouble)
    out.print("Over.")


@app.command("test")
def test() -> None:
    """Send a message to every channel that is set, now.

    Example: `recsys alerts test`
    """
    from recsys_pipeline.errors import SettingsError
    from recsys_pipeline.observability.alerts import channels, send_now
    from recsys_pipeline.observability.messages import Message
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    if not channels(settings):
        raise SettingsError(
            "RECSYS_ALERT_WEBHOOK_URL",
            "is not set, nor RECSYS_ALERT_EMAIL_TO",
            "Set one: docs/observability.md",
        )
    now = time.time()
    message = Message(
        id=f"test-{now:.0f}",
        state="firing",
        kind="test",
        asset="none",
        tenant="",
        words=f"A test by `recsys alerts test`, {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC",
        command="nothing",
        began_at=now,
        times=1,
    )
    for channel in send_now(settings, message):
        out.print(f"{channel} has taken it.")
