"""The measures in Prometheus' text format."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

from recsys_pipeline.api.callers import Operator
from recsys_pipeline.api.problems import RESPONSES

router = APIRouter(tags=["service"], responses=RESPONSES)


@router.get("/metrics", response_class=Response)
def metrics(_: Operator) -> Response:
    """Return the measures of all tenants and processes in Prometheus' text format."""
    registry = REGISTRY
    if values.ValueClass is not values.MutexValue:  # several processes share a folder
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # its own
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
