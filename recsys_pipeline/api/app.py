"""The upload service: parses, judges, lands, answers. It never talks to Dagster."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from recsys_pipeline.api import batches, contracts, health, metrics, tenants, uploads
from recsys_pipeline.api.context import Context
from recsys_pipeline.api.logs import log_json
from recsys_pipeline.api.middleware import Around
from recsys_pipeline.api.problems import answer_problems
from recsys_pipeline.api.spool import sweep_spools
from recsys_pipeline.api.tokens import check_token_settings
from recsys_pipeline.kafka.config import client_config
from recsys_pipeline.logs import configure_logs
from recsys_pipeline.metadata.database import open_database
from recsys_pipeline.metadata.uploads import forget_old
from recsys_pipeline.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# multipart has boundaries and headers beside the file
_ENVELOPE = 64 * 1024
_ABANDONED_SECONDS = 24 * 3600.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app; uvicorn calls it in each worker.

    Raises:
        SettingsError: The metadata database can't be used, or settings of tokens don't fit.
    """
    settings = settings or get_settings()
    check_token_settings(settings)
    if settings.api_uploads_to == "kafka":
        client_config(settings)  # says what is missing
    database = open_database(settings.metadata_url)
    context = Context(settings, database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        context.notices.start()
        yield
        await run_in_threadpool(context.notices.stop)

    # its pages of documentation load nothing from other machines
    app = FastAPIOffline(
        lifespan=lifespan,
        title="recsys_pipeline",
        summary="Uploads of catalogues and interactions, each with an answer by row.",
        docs_url="/docs",
        redoc_url="/redoc",
    )
    configure_logs(settings)
    log_json()
    sweep_spools(_ABANDONED_SECONDS)
    forget_old(database, settings.idempotency_days)
    app.state.context = context
    for module in (uploads, batches, contracts, tenants, health, metrics):  # as the pages list them
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                route.summary = route.description.partition("\n")[0].rstrip(".:")
        app.include_router(module.router)
    answer_problems(app)
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api_cors_origins,
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-API-Key"],
            expose_headers=["X-Request-ID", "Idempotent-Replayed", "Retry-After"],
        )
    limit = settings.api_max_mib * 2**20 + _ENVELOPE
    app.add_middleware(Around, limit=limit, seconds=settings.api_body_seconds)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.api_proxies))
    return app
