"""`recsys exporter`."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys_pipeline.cli.console import err


def exporter(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: RECSYS_EXPORTER_HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; default: RECSYS_EXPORTER_PORT.")
    ] = None,
) -> None:
    """Tell Prometheus what is in the store, until Ctrl-C: /metrics and /health.

    Example: `recsys exporter`
    """
    from recsys_pipeline.observability.exporter import Exporter, sources
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    server = Exporter(
        host or settings.exporter_host,
        settings.exporter_port if port is None else port,
        sources(settings),
    )
    err.print(
        f"recsys exporter: http://{host or settings.exporter_host}:{server.server_port}/metrics"
    )
    try:
        server.serve()
    except KeyboardInterrupt:
        return
