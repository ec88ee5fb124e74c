"""What became of an upload."""

from __future__ import annotations

import re
from datetime import date, datetime  # pydantic reads them at run time
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from pydantic import BaseModel

from recsys_pipeline.api.callers import Reader
from recsys_pipeline.api.problems import RESPONSES, ApiError, Problem
from recsys_pipeline.ingestion.batches import State, tenant_batch
from recsys_pipeline.storage.landing import Kind

if TYPE_CHECKING:
    from recsys_pipeline.api.context import Context

_FORM = re.compile(r"[0-9a-z-]{1,64}")  # it becomes part of a path

router = APIRouter(
    prefix="/api/batches",
    tags=["uploads"],
    responses=RESPONSES | {404: {"model": Problem, "description": "The tenant has no such batch."}},
)


class BatchAnswer(BaseModel):
    """A batch and its state."""

    batch_id: str
    kind: Kind
    state: State
    source: str
    received_at: datetime
    rows: int
    unreadable: dict[str, int]
    days: list[date]


@router.get("/{batch_id}")
def batch(request: Request, caller: Reader, batch_id: str) -> BatchAnswer:
    """Tell what became of a batch of the caller's tenant."""
    context: Context = request.app.state.context
    root = context.settings.storage_root
    start = context.settings.start_date
    known = (
        tenant_batch(root, caller.tenant, batch_id, start_date=start)
        if _FORM.fullmatch(batch_id)
        else None
    )
    if known is None:
        raise ApiError(404, "no_batch", f"tenant {caller.tenant!r} has no batch {batch_id!r}")
    status, days = known
    found = status.batch
    counts = found.counts
    return BatchAnswer(
        batch_id=found.batch_id,
        kind=found.kind,
        state=status.state,
        source=found.source,
        received_at=found.received_at,
        rows=counts.landed if counts else 0,
        unreadable=counts.unreadable if counts else {},
        days=list(days),
    )
