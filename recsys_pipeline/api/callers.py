"""Who calls: the tenant comes from the credential, never from the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from recsys_pipeline.api.problems import ApiError
from recsys_pipeline.metadata.keys import Scope, find_key
from recsys_pipeline.tenants import free_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys_pipeline.api.context import Context

_BEARER = HTTPBearer(auto_error=False, description="An API key of `recsys keys create`.")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same, as a header.")


@dataclass(frozen=True)
class Caller:
    """Who a request is from.

    Attributes:
        tenant: Whose rows it reaches.
        actor: The key's id, for the audit log.
    """

    tenant: str
    actor: str


def caller_with(scope: Scope) -> Callable[..., Caller]:
    """Return a dependency that lets callers with a scope in."""

    def check(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
        header: Annotated[str | None, Depends(_HEADER)],
        x_tenant: Annotated[
            str | None, Header(description="Tenant, where the service runs without credentials.")
        ] = None,
    ) -> Caller:
        context: Context = request.app.state.context
        if context.settings.api_auth == "none":
            if not x_tenant:
                raise ApiError(401, "no_tenant", "no tenant is named", "Send the header X-Tenant")
            return Caller(free_name(x_tenant), "anonymous")
        presented = bearer.credentials if bearer else header
        if not presented:
            raise ApiError(
                401, "no_credential", "no credential was sent", "Send Authorization: Bearer <key>"
            )
        key = find_key(context.database, presented)
        if key is None:
            raise ApiError(
                401, "bad_credential", "the key is not known or was revoked", "Ask for a new key"
            )
        if scope not in key.scopes:
            raise ApiError(
                403,
                "no_scope",
                f"key {key.id} has not the scope {scope!r}",
                f"Make one with: recsys keys create --tenant {key.tenant} --scope {scope}",
            )
        return Caller(key.tenant, key.id)

    return check


Uploader = Annotated[Caller, Depends(caller_with("upload"))]
Reader = Annotated[Caller, Depends(caller_with("read"))]
