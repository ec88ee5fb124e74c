"""Around every request: its id, a limit to its body, headers that keep browsers careful."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from recsys_pipeline.api.measures import REQUESTS
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
_POLICY = "Content-Security-Policy"
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_OWN_PAGES = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src blob:; frame-ancestors 'none'"
)
_PAGES = ("/docs", "/redoc", "/static-offline-docs/")
_ID_LENGTH = 64
_BYTES_A_SECOND = 64 * 1024


class _Body:
    """A request's body while it comes.

    Args:
        receive: Where it comes from.
        limit: Bytes of it at most.
        seconds: Time that it may be waited for, and one second more for each 64 KiB of it.
    """

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self.read = 0
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._waited = 0.0
        self._is_whole = False

    async def next(self) -> Message:
        if self._is_whole:  # what follows is that the caller has left
            return await self._receive()
        asked = time.perf_counter()
        try:
            async with asyncio.timeout(self._seconds + self.read / _BYTES_A_SECOND - self._waited):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        self._waited += time.perf_counter() - asked
        self._is_whole = not message.get("more_body", False)
        self.read += len(message.get("body", b""))
        if self.read > self._limit:
            raise self.too_large()
        return message

    def too_large(self) -> ApiError:
        return ApiError(
            413,
            "too_large",
            f"the body is over {self._limit // 2**20} MiB",
            "Send it in parts, or raise RECSYS_API_MAX_MIB",
        )

    def _too_slow(self) -> ApiError:
        return ApiError(
            408,
            "too_slow",
            f"the body has not come within {self._seconds:g} s and a second for each 64 KiB of it",
            "Send it again, or raise RECSYS_API_BODY_SECONDS",
        )


class Around:
    """Gives each request an id, stops bodies that are too large or slow, and logs how it ended.

    Args:
        app: The app.
        limit: Bytes of a body.
        seconds: Time that a body may be waited for, and one second more for each 64 KiB of it.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request through the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        began, status, begun = time.perf_counter(), 500, False
        body = _Body(receive, self._limit, self._seconds)

        async def with_headers(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                own = MutableHeaders(scope=message)
                own.update(HEADERS | {"X-Request-ID": request_id})
                own[_POLICY] = _OWN_PAGES if scope["path"].startswith(_PAGES) else _NOTHING
                if scope.get("scheme") == "https":
                    own["Strict-Transport-Security"] = "max-age=31536000"
                if status in {408, 413}:
                    own["Connection"] = "close"  # the rest of the body is not waited for
            await send(message)

        try:
            declared = headers.get("content-length", "")
            if declared.isdigit() and int(declared) > self._limit:
                raise body.too_large()  # noqa: TRY301  # answered like one that grows too large
            await self._app(scope, body.next, with_headers)
        except ApiError as error:
            await error.response()(scope, receive, with_headers)
        except Exception:
            logger.exception("failed", extra={"request_id": request_id})
            if not begun:
                failed = ApiError(500, "internal", f"the service failed on request {request_id}")
                await failed.response()(scope, receive, with_headers)
        finally:
            REQUESTS.labels(str(status)).inc()
            logger.info(
                "answered",
                extra={
                    "request_id": request_id,
                    "tenant": scope["state"].get("tenant"),
                    "client": client[0] if (client := scope.get("client")) else None,
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "bytes": body.read,
                    "seconds": round(time.perf_counter() - began, 4),
                },
            )


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    plain = given.isascii() and given.replace("-", "").replace("_", "").isalnum()
    return given if plain and len(given) <= _ID_LENGTH else uuid.uuid4().hex
