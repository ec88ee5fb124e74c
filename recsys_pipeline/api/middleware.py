"""Around every request: its id, a limit to its body, headers that keep browsers careful."""

from __future__ import annotations

import logging
import time
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from recsys_pipeline.api.problems import ApiError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("recsys.api")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_ID_LENGTH = 64


class Around:
    """Gives each request an id, stops bodies over a limit, and logs how it ended.

    Args:
        app: The app.
        limit: Bytes of a body.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request through the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        began, status, read, begun = time.perf_counter(), 500, 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                raise self._too_large()
            return message

        async def with_headers(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                MutableHeaders(scope=message).update(HEADERS | {"X-Request-ID": request_id})
            await send(message)

        try:
            declared = headers.get("content-length", "")
            if declared.isdigit() and int(declared) > self._limit:
                raise self._too_large()  # noqa: TRY301  # answered like one that grows too large
            await self._app(scope, counted, with_headers)
        except ApiError as error:
            await error.response()(scope, receive, with_headers)
        except Exception:
            logger.exception("failed", extra={"request_id": request_id})
            if not begun:
                failed = ApiError(500, "internal", f"the service failed on request {request_id}")
                await failed.response()(scope, receive, with_headers)
        finally:
            logger.info(
                "answered",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "bytes": read,
                    "seconds": round(time.perf_counter() - began, 4),
                },
            )

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            "too_large",
            f"the body is over {self._limit // 2**20} MiB",
            "Send it in parts, or raise RECSYS_API_MAX_MIB",
        )


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    plain = given.isascii() and given.replace("-", "").replace("_", "").isalnum()
    return given if plain and len(given) <= _ID_LENGTH else uuid.uuid4().hex
