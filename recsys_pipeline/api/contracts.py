"""The contracts, and what they say of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
from fastapi import APIRouter, Query, Request

from recsys_pipeline.api.answers import judged
from recsys_pipeline.api.callers import Reader
from recsys_pipeline.api.problems import RESPONSES
from recsys_pipeline.api.reports import Report
from recsys_pipeline.api.spool import spooled
from recsys_pipeline.api.uploads import AN_EVENT, json_body
from recsys_pipeline.schemas.rules import rules
from recsys_pipeline.schemas.tables import CONTRACTS
from recsys_pipeline.storage.landing import Kind

if TYPE_CHECKING:
    from recsys_pipeline.api.context import Context

router = APIRouter(prefix="/api/validation", tags=["validation"], responses=RESPONSES)

_TYPES: dict[str, dict[str, Any]] = {
    "String": {"type": "string"},
    "Float64": {"type": "number"},
    "Int64": {"type": "integer"},
    "Boolean": {"type": "boolean"},
}
_FROM_US = ("date", "tenant")  # they follow from the time and the credential


@router.post("/validate", openapi_extra=json_body(AN_EVENT))
async def validate(
    request: Request,
    caller: Reader,
    data_type: Annotated[Kind, Query(description="What the rows are.")],
) -> Report:
    """Judge rows as an upload would be; nothing is stored."""
    context: Context = request.app.state.context
    limit = context.settings.api_max_mib * 2**20
    with context.upload_of(caller.tenant):
        async with spooled(request.stream(), "json", limit) as body:
            return await context.work(judged, context, data_type, caller.tenant, body)


@router.get("/schema/{data_type}")
def schema(data_type: Kind, _: Reader) -> dict[str, Any]:
    """Return a contract as JSON Schema, with each column's rules in words."""
    model = CONTRACTS[f"validated_{data_type}"]
    columns = model.to_schema().columns
    words: dict[str, list[str]] = {}
    for rule in rules(model):
        words.setdefault(rule.column, []).append(rule.words)
    properties = {
        name: _json_type(column.dtype.type)
        | {"description": column.description or "", "rules": words.get(name, [])}
        for name, column in columns.items()
        if name not in _FROM_US
    }
    required = [n for n, c in columns.items() if not c.nullable and n not in _FROM_US]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": data_type,
        "type": "object",
        "properties": properties,
        "required": [name for name in required if name != "available"],
        "additionalProperties": True,
    }


def _json_type(dtype: pl.DataType) -> dict[str, Any]:
    if isinstance(dtype, pl.Datetime):
        return {"type": "string", "format": "date-time"}
    return dict(_TYPES.get(type(dtype).__name__, {}))
