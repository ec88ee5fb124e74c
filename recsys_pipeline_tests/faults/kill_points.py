"""Named points at which a child process is killed, put there by wrapping what it calls.

A point is `<call>.before` or `<call>.after`; production code knows of none. `write.half` is a
temporary file half written.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MOMENT = "moment"  # no point: so many milliseconds after the start
HALF = "write.half"


def _both(*calls: str) -> tuple[str, ...]:
    return tuple(f"{call}.{side}" for call in calls for side in ("before", "after"))


# what each kind of child passes; upkeep of the landing comes with some of its commits
POINTS = {
    "land": (
        *_both("consume", "chunk", "normalise", "create", "file", "write", "rename", "commit"),
        *_both("upkeep", "merge", "checkpoint", "delete", "mirror"),
        HALF,
    ),
    "materialise": (*_both("put", "write", "rename", "record", "delete"), HALF),
    "compact": (
        *_both("merge", "file", "write", "rename", "commit", "upkeep", "checkpoint"),
        HALF,
    ),
    "vacuum": _both("delete"),
}
# what a child passes that makes a release; `part` is one of its files, still where it was made
RELEASE_POINTS = (
    *_both("fold", "part", "publish", "clear", "put", "write", "rename"),
    HALF,
)
# what a child passes that erases, or deletes what is old
UPKEEP_POINTS = (
    *_both("put", "write", "rename", "record", "delete", "file", "commit", "upkeep"),
    HALF,
)
# calls of which a child makes one or two
RARE = ("create", "mirror", "checkpoint", "merge", "upkeep", "delete")


@dataclass(frozen=True)
class Kill:
    """Where to kill a child.

    Attributes:
        point: The point, or `moment`.
        hit: At which of its hits, from 1; of a moment, after how many milliseconds.
        full: The disk is full there instead, and from then on.
    """

    point: str
    hit: int = 1
    full: bool = False

    def __str__(self) -> str:
        return f"{self.point}#{self.hit}" + (" (disk full)" if self.full else "")


class Trap:
    """Counts the hits of one point and springs at one of them.

    Args:
        kill: Which point, and which hit.
        spring: What to do there; by default the process is killed.
    """

    def __init__(self, kill: Kill, spring: Callable[[], None] | None = None) -> None:
        self._kill = kill
        self._spring = spring or (fill_disk if kill.full else die)
        self._count = itertools.count(1)  # files are written by several threads

    def hit(self, point: str) -> None:
        if point == self._kill.point:
            count = next(self._count)
            if count == self._kill.hit or (self._kill.full and count > self._kill.hit):
                self._spring()

    def install(self) -> None:
        """Wrap everything that has points."""
        if self._kill.point == MOMENT:
            timer = threading.Timer(self._kill.hit / 1000, die)
            timer.daemon = True
            timer.start()
            return
        self._wrap_kafka()
        self._wrap_storage()
        self._wrap_release()

    def _wrap_release(self) -> None:
        from recsys_pipeline.engines.release_fold import Files, FoldMaker
        from recsys_pipeline.storage.releases import Releases

        self._around(FoldMaker, "make", "fold")
        self._around(Files, "add", "part")
        self._around(Releases, "publish", "publish")
        self._around(Releases, "_sweep", "clear")

    def _wrap_kafka(self) -> None:
        import confluent_kafka

        from recsys_pipeline.ingestion.messages import MessageRows
        from recsys_pipeline.kafka import group
        from recsys_pipeline.kafka.reader import RangeReader

        hit = self.hit

        class Consumer(confluent_kafka.Consumer):
            def consume(self, *args: Any, **kwargs: Any) -> Any:
                hit("consume.before")
                found = super().consume(*args, **kwargs)
                hit("consume.after")
                return found

        confluent_kafka.Consumer = Consumer
        read = RangeReader.read

        def chunks(reader: RangeReader, *args: Any, **kwargs: Any) -> Any:
            hit("chunk.before")
            for chunk in read(reader, *args, **kwargs):
                hit("chunk.after")
                yield chunk
                hit("chunk.before")

        RangeReader.read = chunks
        self._around(MessageRows, "rows", "normalise")
        self._around(group, "mirror_offsets", "mirror")

    def _wrap_storage(self) -> None:
        from deltalake import DeltaTable

        from recsys_pipeline.storage import landing
        from recsys_pipeline.storage.delta_files import DataFiles
        from recsys_pipeline.storage.local_store import LocalStore
        from recsys_pipeline.storage.records import Records

        if self._kill.point == HALF:
            write = LocalStore.write

            def half(store: LocalStore, path: str, data: bytes, **more: Any) -> None:
                store.temporary().write_bytes(data[: len(data) // 2])
                self.hit(HALF)
                write(store, path, data, **more)

            LocalStore.write = half
        for name, call in (("write", "write"), ("_rename", "rename"), ("put_file", "put")):
            self._around(LocalStore, name, call)
        self._around(LocalStore, "delete", "delete")
        self._around(Records, "write", "record")
        self._around(DataFiles, "_write", "file")
        self._around(landing.Landing, "_create", "create")
        self._around(landing.Landing, "_commit", "commit")
        self._around(landing.Landing, "_after_commit", "upkeep")
        self._around(landing, "merge", "merge")
        self._around(DeltaTable, "create_checkpoint", "checkpoint")

    def _around(self, owner: Any, name: str, call: str) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.hit(f"{call}.before")
            result = original(*args, **kwargs)
            self.hit(f"{call}.after")
            return result

        setattr(owner, name, wrapped)


def fill_disk() -> None:
    """Fail as every write does on a disk that is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def die() -> None:
    """End as a power cut ends a process: nothing runs after it."""
    os.kill(os.getpid(), signal.SIGKILL)
