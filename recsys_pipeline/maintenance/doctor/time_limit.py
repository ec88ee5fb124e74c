"""A bound on the time of work that can hang."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what the work returns; a hung mount or socket must not hang the report.

    Raises:
        TimeoutError: The work has not returned in these seconds; its thread is left behind.
    """
    outcome: list[T] = []
    fault: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  # handed over to the caller's thread
            fault.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    if fault:
        raise fault[0]
    if not outcome:
        raise TimeoutError
    return outcome[0]
