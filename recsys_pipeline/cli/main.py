"""`recsys`: one file a command group; a command imports what it needs when it runs."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

import typer
from rich.console import Console
from rich.markup import escape
from typer import Context
from typer.core import TyperGroup

from recsys_pipeline.cli import (
    alerts,
    batches,
    doctor,
    erase,
    exporter,
    generate,
    ingest,
    kafka,
    keys,
    produce,
    quarantine,
    release,
    retention,
    run,
    serve,
    status,
)
from recsys_pipeline.errors import RecsysError
from recsys_pipeline.logs import logs_json

logger = logging.getLogger(__name__)

# as they are used, one after the other; typer alone would list groups after commands
ORDER = (
    *("generate", "ingest", "produce", "kafka", "run", "status", "release"),
    *("batches", "quarantine", "retention", "erase", "serve", "keys"),
    *("exporter", "alerts", "doctor"),
)
HELP = "Events in, training samples out: generate, ingest, run the pipeline, make releases."


class _InOrder(TyperGroup):
    def list_commands(self, ctx: Context) -> list[str]:  # type: ignore[override]  # its public name
        found = super().list_commands(ctx)
        return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


app = typer.Typer(
    cls=_InOrder,
    name="recsys",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback(help=HELP)
def log() -> None:
    """Let the command log as the settings say; where they can't be read, it will say so itself."""
    from recsys_pipeline.errors import SettingsError
    from recsys_pipeline.logs import configure_logs
    from recsys_pipeline.settings import get_settings

    with suppress(SettingsError):
        configure_logs(get_settings())


app.command("generate")(generate.generate)
app.add_typer(ingest.app, name="ingest")
app.add_typer(produce.app, name="produce")
app.add_typer(kafka.app, name="kafka")
app.add_typer(batches.app, name="batches")
app.command("run")(run.run)
app.command("status")(status.status)
app.add_typer(release.app, name="release")
app.add_typer(quarantine.app, name="quarantine")
app.command("retention")(retention.retention)
app.add_typer(erase.app, name="erase")
app.command("serve")(serve.serve)
app.add_typer(keys.app, name="keys")
app.command("exporter")(exporter.exporter)
app.add_typer(alerts.app, name="alerts")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and exit code 1."""
    try:
        app()
    except RecsysError as error:
        if logs_json():
            words = f"{error.culprit}: failed. {error.fix}" if error.quotes_others else str(error)
            logger.error(words)  # noqa: TRY400  # the line says all that an operator needs
            sys.exit(1)
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[red]error:[/red] {escape(str(error))}"
        )
        sys.exit(1)
    except Exception:
        if not logs_json():
            raise
        logger.critical("failed", exc_info=True)
        sys.exit(1)
