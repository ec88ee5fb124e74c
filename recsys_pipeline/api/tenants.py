"""A tenant's configuration, as `tenants.toml` and the settings give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, ValidationError

from recsys_pipeline.api.callers import Caller, Operator
from recsys_pipeline.api.problems import RESPONSES, ApiError
from recsys_pipeline.errors import StorageError
from recsys_pipeline.ingestion.mapping import DEFAULT_NAME, builtin_names
from recsys_pipeline.maintenance.tenants_file import write_overrides
from recsys_pipeline.metadata.audit import Entry, record
from recsys_pipeline.tenants import TenantConfig, TenantOverrides, overrides, tenant_config

if TYPE_CHECKING:
    from recsys_pipeline.api.context import Context

router = APIRouter(prefix="/api/tenants", tags=["tenants"], responses=RESPONSES)

_MOST_BYTES = 256 * 1024


class TenantAnswer(BaseModel):
    """A tenant's configuration."""

    effective: TenantConfig = Field(description="What holds, the settings' values filled in.")
    own: TenantOverrides = Field(description="What its table in `tenants.toml` says.")


@router.get("/{tenant}")
def read(request: Request, caller: Operator, tenant: str) -> TenantAnswer:
    """Tell the configuration of the caller's tenant."""
    _check_own(caller, tenant)
    return _answer(request.app.state.context, tenant)


_TABLE = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": TenantOverrides.model_json_schema(),
                "example": {"quarantine_limit": 0.05, "negative_ratio": 8},
            }
        },
    }
}


@router.put("/{tenant}", openapi_extra=_TABLE)
async def replace(request: Request, caller: Operator, tenant: str) -> TenantAnswer:
    """Replace the table of the caller's tenant; a key left out means the setting's value.

    Days whose rows depend on what has changed become stale, and the next run makes them anew.
    """
    _check_own(caller, tenant)
    table = await _table(request)
    context: Context = request.app.state.context
    return await context.work(_replace, context, caller, request.state.request_id, table)


async def _table(request: Request) -> TenantOverrides:
    """Read the body here: the framework would take in any size before it asks who calls."""
    text = b""
    async for piece in request.stream():
        text += piece
        if len(text) > _MOST_BYTES:
            raise ApiError(413, "too_large", f"the table is over {_MOST_BYTES // 1024} KiB")
    try:
        return TenantOverrides.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise ApiError(422, "invalid_request", f"{where}: {first['msg']}", "See /docs") from None


def _replace(
    context: Context, caller: Caller, request_id: str, table: TenantOverrides
) -> TenantAnswer:
    tenant, settings = caller.tenant, context.settings
    before = overrides(settings).get(tenant, TenantOverrides())
    # a path would have the service read a file of the caller's choice
    if table.mapping not in {None, before.mapping, DEFAULT_NAME, *builtin_names()}:
        raise ApiError(
            422,
            "bad_mapping",
            f"mapping {table.mapping!r} is no built-in one",
            f"Use one of {', '.join(builtin_names())}; a file of your own is named in tenants.toml",
        )
    outcome = "failed"
    try:
        write_overrides(settings, tenant, table)
        outcome = "replaced"
    except StorageError as error:
        words = f"tenants.toml {error.problem}"
        raise ApiError(503, "tenants_file", words, "Change it where it is kept") from None
    finally:
        entry = Entry(request_id, caller.actor, tenant, "configure", "tenants.toml", outcome)
        record(context.database, entry)
    return _answer(context, tenant)


def _check_own(caller: Caller, tenant: str) -> None:
    if tenant != caller.tenant:
        raise ApiError(
            403,
            "other_tenant",
            f"the credential is of tenant {caller.tenant!r}",
            "Use one of the tenant's own",
        )


def _answer(context: Context, tenant: str) -> TenantAnswer:
    own = overrides(context.settings).get(tenant, TenantOverrides())
    return TenantAnswer(effective=tenant_config(context.settings, tenant), own=own)
