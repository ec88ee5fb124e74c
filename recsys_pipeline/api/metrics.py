"""The measures in Prometheus' text format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

router = APIRouter(tags=["service"], responses=RESPONSES)


def measures() -> CollectorRegistry:
    """Return the measures of all tenants and processes."""
    if values.ValueClass is values.MutexValue:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # its own
    return registry


@dataclass(frozen=True)
class _Of:
    """What a tenant may see of the measures: its own, and those of nobody in particular."""

    tenant: str

    def collect(self) -> Iterator[Metric]:
        for family in measures().collect():
            family.samples = [
                one
                for one in family.samples
                if one.labels.get("tenant", self.tenant) == self.tenant
            ]
            yield family


@router.get("/metrics", response_class=Response)
def metrics(caller: Operator) -> Response:
    """Return the caller's measures, of all processes, in Prometheus' text format.

    Those of all tenants are on the service's own port for them, where it has one.
    """
    return Response(generate_latest(_Of(caller.tenant)), media_type=CONTENT_TYPE_LATEST)
