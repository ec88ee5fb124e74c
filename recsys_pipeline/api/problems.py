"""What a caller is told when a request is refused: one shape for all."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from recsys_pipeline.api.measures import STORAGE_ERRORS
from recsys_pipeline.errors import (
    KafkaError,
    LandingError,
    MappingError,
    RecsysError,
    SettingsError,
    SourceError,
    StorageError,
    TenantError,
)

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

logger = logging.getLogger("recsys.api")


class Problem(BaseModel):
    """Why a request was refused."""

    error: str = Field(description="Short code.", examples=["too_large"])
    message: str = Field(description="What is wrong, with the culprit.")
    fix: str = Field("", description="What to do about it.")


class ApiError(Exception):
    """A request that is refused, with its status."""

    def __init__(
        self, status: int, error: str, message: str, fix: str = "", retry_after: int | None = None
    ) -> None:
        self.status = status
        self.problem = Problem(error=error, message=message, fix=fix)
        self.retry_after = retry_after
        super().__init__(message)

    def response(self) -> JSONResponse:
        """Return it as an answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.content(), self.status, headers)

    def content(self) -> dict[str, object]:
        """Return the answer's body."""
        return self.problem.model_dump()


_STATUS: tuple[tuple[type[RecsysError], int, str], ...] = (
    (TenantError, 403, "tenant_not_accepted"),
    (MappingError, 422, "columns_do_not_fit"),
    (SourceError, 422, "unreadable"),
    (SettingsError, 422, "contradiction"),
    (LandingError, 503, "busy"),
    (StorageError, 503, "storage"),
    (KafkaError, 503, "topic"),
)


def of_error(error: RecsysError) -> ApiError:
    """Return how an error of the pipeline is answered."""
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            if status == 503:  # its culprit is an address of ours
                what = "the topic" if code == "topic" else "storage"
                return ApiError(503, code, f"{what} is busy or down", "Send it again", 1)
            # a path is the spooled body's, or the server's own
            culprit = "" if "/" in error.culprit else f"{error.culprit}: "
            return ApiError(status, code, f"{culprit}{error.problem}", error.fix)
    return ApiError(500, "internal", "the service failed; the request id is in its log")


def answer_problems(app: FastAPI) -> None:
    """Let an app answer every refusal and failure in the one shape."""

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def refused_by_the_framework(_: Request, error: HTTPException) -> JSONResponse:
        code = "_".join(HTTPStatus(error.status_code).phrase.lower().split())
        answer = ApiError(error.status_code, code, str(error.detail), "See /docs").response()
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RecsysError)
    async def pipeline(request: Request, error: RecsysError) -> JSONResponse:
        found = of_error(error)
        if found.status >= 500:
            STORAGE_ERRORS.labels(type(error).__name__).inc()
            # the message may name a row's values
            logger.error("failed", extra={"request_id": request.state.request_id}, exc_info=error)
        return found.response()

    @app.exception_handler(SQLAlchemyError)
    async def database(request: Request, error: SQLAlchemyError) -> JSONResponse:
        STORAGE_ERRORS.labels(type(error).__name__).inc()
        logger.error("failed", extra={"request_id": request.state.request_id}, exc_info=error)
        words = "the metadata database is busy or down"
        return ApiError(503, "metadata", words, "Send it again", 1).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return ApiError(422, "invalid_request", f"{where}: {first['msg']}", "See /docs").response()


RESPONSES: dict[int | str, dict[str, object]] = {
    status: {"model": Problem, "description": words}
    for status, words in {
        400: "The body is not well-formed.",
        401: "No credential, or one that doesn't work.",
        403: "The credential lacks the scope, or the tenant is not accepted.",
        408: "The body has not come in time.",
        409: "The idempotency key was used for other content.",
        413: "The body is larger than the limit.",
        415: "The body is not of the type that it should be.",
        422: "The body can't be read as rows, or a parameter is wrong.",
        429: "Too many uploads of the tenant at a time.",
        503: "Storage is busy or down; try again.",
    }.items()
}
