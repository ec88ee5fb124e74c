"""What the schedules of a suite share, let go of at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import ExitStack
    from types import TracebackType


class Held:
    """Closes what `__enter__` has left in `_held`."""

    _held: ExitStack

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()
