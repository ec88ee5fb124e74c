"""`recsys serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys_pipeline.cli.console import err
from recsys_pipeline.errors import SettingsError

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: RECSYS_API_HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; default: RECSYS_API_PORT.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Serve the upload API until Ctrl-C; requests under way are finished first.

    Example: `recsys keys create --tenant acme`, then `recsys serve`
    """
    import uvicorn

    from recsys_pipeline.metadata.database import open_database
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    host, port = host or settings.api_host, settings.api_port if port is None else port
    if settings.api_auth == "none":
        if host not in _LOOPBACK:
            raise SettingsError(
                "RECSYS_API_AUTH",
                f"'none' lets everyone in, and {host} can be reached from other machines",
                "Listen on 127.0.0.1, or use keys",
            )
        err.print("[yellow]note:[/yellow] no credential is asked for; X-Tenant names the tenant")
    open_database(settings.metadata_url).dispose()  # migrated once, before there are workers
    err.print(f"recsys serve: http://{host}:{port}/docs")
    uvicorn.run(
        "recsys_pipeline.api.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=60,
    )
