"""Small uploads that share a commit.

While one commit is under way, what arrives waits, and then lands together: as a database's group
commit does. So a lone upload waits for nobody, and many cost one commit each time.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from recsys_pipeline.storage.landing import Kind, Landing, Piece

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    import polars as pl

SMALL_BYTES = 2**20  # of one upload; a larger one commits by itself
SMALL_DAYS = 16  # each is a file, which the others of the group would wait for
GROUP_BYTES = 64 * 2**20


@dataclass
class _Waiter:
    """An upload that waits to land.

    Attributes:
        piece: Its rows.
        woken: Set when it has landed or failed, or is to commit for those who wait.
        landed: What `Landing.append` would return; None until then.
        error: Why it failed.
    """

    piece: Piece
    woken: threading.Event = field(default_factory=threading.Event)
    landed: bool | None = None
    error: BaseException | None = None


class GroupedLanding(Landing):
    """A landing table whose small appends of this process share commits.

    Args:
        root: Storage root.
        kind: Which table.
    """

    buffer_bytes = 8 * 2**20  # several uploads are under way at a time

    def __init__(self, root: str, kind: Kind) -> None:
        super().__init__(root, kind)
        self._waiting: deque[_Waiter] = deque()
        self._lock = threading.Lock()
        self._busy = False

    def append(
        self,
        frames: Iterable[pl.DataFrame],
        *,
        tenant: str,
        key: str,
        sequence: int,
        replaces: str | None = None,
    ) -> bool:
        """Land a batch exactly once; see `Landing.append`."""
        if replaces is not None:
            return super().append(
                frames, tenant=tenant, key=key, sequence=sequence, replaces=replaces
            )
        frames = iter(frames)
        days: set[date] = set()
        taken: list[pl.DataFrame] = []
        size = 0
        for frame in frames:
            taken.append(frame)
            size += int(frame.estimated_size())
            days.update(frame["date"].unique())
            if size > SMALL_BYTES or len(days) > SMALL_DAYS:
                return super().append(
                    chain(taken, frames),
                    tenant=tenant,
                    key=key,
                    sequence=sequence,
                )
        return self._grouped(self.piece(taken, tenant, key, sequence))

    def _grouped(self, piece: Piece) -> bool:
        """Wait until a piece has landed; one of those who wait commits for all of them."""
        own = _Waiter(piece)
        with self._lock:
            self._waiting.append(own)
            leads, self._busy = not self._busy, True
        if not leads:
            own.woken.wait()
            leads = own.landed is None and own.error is None
        if leads:
            self._lead()
        if own.error is not None:
            raise own.error
        return bool(own.landed)

    def _lead(self) -> None:
        """Commit for a group, then leave those who came meanwhile to the first of them."""
        with self._lock:
            group = self._next_group()
        try:
            landed = self.append_group([waiter.piece for waiter in group])
        except BaseException as error:  # noqa: BLE001  # each of the group raises it
            for waiter in group:
                waiter.error = error
        else:
            for waiter, result in zip(group, landed, strict=True):
                waiter.landed = result
        with self._lock:
            group += [self._waiting[0]] if self._waiting else []
            self._busy = bool(self._waiting)
        for waiter in group:
            waiter.woken.set()

    def _next_group(self) -> list[_Waiter]:
        group: list[_Waiter] = []
        size = 0
        while self._waiting:
            size += int(self._waiting[0].piece.rows.estimated_size())
            if group and size > GROUP_BYTES:
                break
            group.append(self._waiting.popleft())
        return group
