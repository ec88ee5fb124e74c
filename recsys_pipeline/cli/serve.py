"""`recsys serve`."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_pipeline.cli.console import err
from recsys_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

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
    from uvicorn.config import LOGGING_CONFIG

    from recsys_pipeline.api.connections import Patient
    from recsys_pipeline.metadata.database import open_database
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    host, port = host or settings.api_host, settings.api_port if port is None else port
    _check(settings, host)
    open_database(settings.metadata_url).dispose()  # migrated once, before there are workers
    secure = settings.api_tls_certificate is not None
    err.print(f"recsys serve: {'https' if secure else 'http'}://{host}:{port}/docs")
    with tempfile.TemporaryDirectory(prefix="recsys-metrics-") as shared:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared  # read when its library is imported
        if settings.api_metrics_port is not None:
            _serve_measures(host, settings.api_metrics_port)
        uvicorn.run(
            "recsys_pipeline.api.app:create_app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_level="warning",
            access_log=False,
            # its own lines are text
            log_config=None if settings.log_format == "json" else LOGGING_CONFIG,
            http=Patient,
            proxy_headers=False,  # the app reads those of proxies that the settings name
            server_header=False,
            timeout_graceful_shutdown=60,
            timeout_keep_alive=15,
            limit_concurrency=200,  # more are told to come again
            ssl_certfile=settings.api_tls_certificate,
            ssl_keyfile=settings.api_tls_key,
        )


def _serve_measures(host: str, port: int) -> None:
    """Tell the measures of all tenants on a port of their own, which asks for no credential."""
    from prometheus_client import start_http_server

    from recsys_pipeline.api.metrics import measures

    try:
        start_http_server(port, host, measures())
    except OSError as error:
        raise SettingsError(
            "RECSYS_API_METRICS_PORT", f"{port} can't be listened on ({error})", "Choose another"
        ) from None


def _check(settings: Settings, host: str) -> None:
    """Refuse settings that would open a door by mistake."""
    if settings.api_auth == "none":
        if host not in _LOOPBACK:
            raise SettingsError(
                "RECSYS_API_AUTH",
                f"'none' lets everyone in, and {host} can be reached from other machines",
                "Listen on 127.0.0.1, or use keys",
            )
        err.print("[yellow]note:[/yellow] no credential is asked for; X-Tenant names the tenant")
    if (settings.api_tls_certificate is None) != (settings.api_tls_key is None):
        raise SettingsError(
            "RECSYS_API_TLS_CERTIFICATE", "goes with RECSYS_API_TLS_KEY", "Set both, or none"
        )
