"""Probes, and what the service is."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.maintenance.doctor.installed import installed_version
from recsys_pipeline.maintenance.doctor.kafka import check_kafka
from recsys_pipeline.maintenance.doctor.storage import check_storage
from recsys_pipeline.maintenance.doctor.time_limit import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys_pipeline.api.context import Context

router = APIRouter(tags=["service"])

SECONDS = 5.0
_KEPT_SECONDS = 2.0
_ASKING = threading.Lock()


class Service(BaseModel):
    """What answers here."""

    service: str = "recsys_pipeline"
    version: str
    docs: str = "/docs"


class Part(BaseModel):
    """One thing that the service needs."""

    status: Literal["ok", "down"]
    seconds: float


class Health(BaseModel):
    """Whether all that the service needs answers."""

    status: Literal["ok", "down"]
    parts: dict[str, Part]


@router.get("/")
def about() -> Service:
    """Tell what this is."""
    return Service(version=installed_version("recsys_pipeline") or "unknown")


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get("/health/ready", responses={503: {"model": Health}})
@router.get("/health", responses={503: {"model": Health}})
def health(request: Request, response: Response) -> Health:
    """Ask storage, the metadata database and Kafka, each for a few seconds at most.

    Who asks again within two seconds, or meanwhile, is told what was found.
    """
    context: Context = request.app.state.context
    with _ASKING:
        found = context.health
        if found is None or time.monotonic() - found[0] > _KEPT_SECONDS:
            found = context.health = time.monotonic(), _asked(context)
    answer: Health = found[1]
    response.status_code = 503 if answer.status == "down" else 200
    return answer


def _asked(context: Context) -> Health:
    settings = context.settings
    probes: dict[str, Callable[[], bool]] = {
        "storage": lambda: check_storage(settings)[0].status != "wrong",
        "metadata": lambda: _answers(context),
    }
    if is_configured(settings):
        probes["kafka"] = lambda: check_kafka(settings, SECONDS).status != "wrong"
    parts = {name: _timed(probe) for name, probe in probes.items()}
    down = any(part.status == "down" for part in parts.values())
    return Health(status="down" if down else "ok", parts=parts)


def _answers(context: Context) -> bool:
    try:
        with context.database.connect() as connection:
            return bool(connection.execute(text("SELECT 1")).scalar())
    except SQLAlchemyError:
        return False


def _timed(probe: Callable[[], bool]) -> Part:
    began = time.perf_counter()
    try:
        answers = within(SECONDS, probe)
    except TimeoutError:
        answers = False
    return Part(status="ok" if answers else "down", seconds=round(time.perf_counter() - began, 4))
