"""Suite `landing`: whatever crashes between broker and published files, each message is there once.

A schedule is a sequence of seeded actions on a fresh root and fresh topics; at the end everything is
landed and materialised without a kill, and compared with what was produced. What happens at the
same time is not seeded: a replayed race may end differently.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self
from unittest import mock

from recsys_pipeline_tests.faults.bounds import make_small
from recsys_pipeline_tests.faults.children import start_server
from recsys_pipeline_tests.faults.held import Held
from recsys_pipeline_tests.faults.landing_schedule import Schedule
from recsys_pipeline_tests.kafka.mock_broker import MockBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline_tests.faults.comparison import Fault

# memory, where there is some: a killed process loses nothing of what it has written to a file
SHARED_MEMORY = Path("/dev/shm")
ROOM = 256 * 2**20


class LandingSuite(Held):
    """A broker, and the server of the children; use it as a context manager."""

    name = "landing"
    schedules = 2000

    def __enter__(self) -> Self:
        start_server()
        with ExitStack() as held:
            make_small(lambda *bound: held.enter_context(mock.patch.object(*bound)))
            self._broker = held.enter_context(MockBroker())
            self._held = held.pop_all()
        return self

    def run(self, seed: int, broken: str | None = None) -> tuple[list[Fault], list[str]]:
        """See `Suite`."""
        with self.schedule(seed, broken) as schedule:
            try:
                for action in schedule.actions():
                    action()
                    if schedule.torn:
                        break
                return schedule.finish(), schedule.done
            except Exception as error:
                error.add_note(f"done so far: {'; '.join(schedule.done)}")
                raise

    @contextmanager
    def schedule(self, seed: int, broken: str | None = None) -> Iterator[Schedule]:
        """Hold a schedule of which nothing is done yet.

        Args:
            seed: Of all its choices.
            broken: A defect that the children's production code is given.
        """
        with scratch() as folder:
            yield Schedule(self._broker, folder, random.Random(seed), broken)


def scratch() -> tempfile.TemporaryDirectory:
    """Return a folder for one schedule, in memory where there is room."""
    has_room = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ROOM
    return tempfile.TemporaryDirectory(
        prefix="recsys-faults-",
        dir=SHARED_MEMORY if has_room else None,
        ignore_cleanup_errors=True,
    )
