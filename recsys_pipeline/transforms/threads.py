"""Two threads for kernels, which leave the interpreter to others."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Thread, current_thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")
_AT_ONCE = 2


class _Threads:
    """Always the same two threads: each new one would keep memory of its own."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._one: Thread | None = None

    def pool(self) -> ThreadPoolExecutor:
        # in a forked process there are none
        if self._pool is None or self._one is None or not self._one.is_alive():
            self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="kernels")
            self._one = self._pool.submit(current_thread).result()
        return self._pool


_THREADS = _Threads()


def two_at_a_time(function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
    """Yield `function` of each value, in order; no more than two are worked on or waiting."""
    pool = _THREADS.pool()
    waiting: deque[Future[R]] = deque()
    for value in values:
        if len(waiting) == _AT_ONCE:
            yield waiting.popleft().result()
        waiting.append(pool.submit(function, value))
    while waiting:
        yield waiting.popleft().result()
