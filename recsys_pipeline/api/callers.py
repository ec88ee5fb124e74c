"""Who calls: the tenant comes from the credential, never from the body."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from recsys_pipeline.api.problems import ApiError
from recsys_pipeline.api.tokens import read_token
from recsys_pipeline.metadata.keys import PREFIX, Scope, find_key
from recsys_pipeline.metadata.rates import count_request
from recsys_pipeline.tenants import free_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from recsys_pipeline.api.context import Context

_BEARER = HTTPBearer(auto_error=False, description="An API key of `recsys keys create`.")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same, as a header.")


@dataclass(frozen=True)
class Caller:
    """Who a request is from.

    Attributes:
        tenant: Whose rows it reaches.
        actor: The key's id, or the token's subject, for the audit log.
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
            request.state.tenant = free_name(x_tenant)
            return Caller(request.state.tenant, "anonymous")
        presented = bearer.credentials if bearer else header
        if not presented:
            raise ApiError(
                401, "no_credential", "no credential was sent", "Send Authorization: Bearer <key>"
            )
        found = _found(context, presented)
        if found is None:
            raise ApiError(
                401,
                "bad_credential",
                "the credential is not known or no longer good",
                "Get a new one",
            )
        caller, scopes = found
        if scope not in scopes:
            raise ApiError(
                403,
                "no_scope",
                f"the credential has not the scope {scope!r}",
                "Get one that has it",
            )
        request.state.tenant = caller.tenant  # for the log
        _check_rate(context, caller.tenant)
        return caller

    return check


def _found(context: Context, presented: str) -> tuple[Caller, Collection[str]] | None:
    """Return whom a credential is of, and its scopes."""
    if presented.startswith(f"{PREFIX}_"):
        key = find_key(context.database, presented)
        return None if key is None else (Caller(key.tenant, key.id), key.scopes)
    token = read_token(context.settings, presented)
    if token is None:
        return None
    return Caller(free_name(token.tenant), f"jwt:{token.subject}"[:80]), token.scopes


def _check_rate(context: Context, tenant: str) -> None:
    now = time.time()
    count = count_request(context.database, tenant, int(now // 60))
    if count > context.settings.api_requests_per_minute:
        raise ApiError(
            429,
            "too_many_requests",
            f"tenant {tenant!r} has sent {count} requests in this minute",
            "Send more rows in one request, or raise RECSYS_API_REQUESTS_PER_MINUTE",
            retry_after=60 - int(now % 60),
        )


Uploader = Annotated[Caller, Depends(caller_with("upload"))]
Reader = Annotated[Caller, Depends(caller_with("read"))]
Operator = Annotated[Caller, Depends(caller_with("admin"))]
