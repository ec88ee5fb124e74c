"""Connections on which nothing is asked for are closed, so that idle ones can't use them all up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

SECONDS = 15.0


class Patient(H11Protocol):
    """HTTP/1.1 whose callers have some seconds to say what they want.

    uvicorn itself waits for ever for the head of a first request. Its head is bounded too: h11 takes
    in 16 KiB of it, where uvicorn's other parser has no limit.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._look_again()

    def _look_again(self) -> None:
        self.loop.call_later(SECONDS, self._look, self.cycle if self._is_idle() else self)

    def _look(self, before: object) -> None:
        if self.transport.is_closing():
            return
        if self._is_idle() and self.cycle is before:
            self.transport.close()
        else:
            self._look_again()

    def _is_idle(self) -> bool:
        # its base declares it as never None, and sets it so
        cycle: object = self.cycle
        return cycle is None or self.cycle.response_complete
