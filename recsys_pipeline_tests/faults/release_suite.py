"""Suite `release`: whenever one is killed, a release is whole or not there, and comes out the same.

A schedule kills a few children that make releases of one root, some beside a living one; then each
release that was asked for is made without a kill, and compared with one of an untouched root.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

from recsys_pipeline.engines.workspace import LEFTOVER_AGE
from recsys_pipeline.storage.layout import TEMPORARY, release_of
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.faults.bounds import make_small
from recsys_pipeline_tests.faults.children import Child, Outcome, start_server
from recsys_pipeline_tests.faults.comparison import Fault
from recsys_pipeline_tests.faults.held import Held
from recsys_pipeline_tests.faults.kill_points import MOMENT, RELEASE_POINTS, Kill
from recsys_pipeline_tests.faults.landing_suite import scratch
from recsys_pipeline_tests.landed import settings_for
from recsys_pipeline_tests.releases import make_root, release

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KILLS = 3  # at most, of one schedule
# one file a split has few points, many shards have many
SPECS: dict[str, dict[str, Any]] = {
    "shards": {"shard_rows": 100},
    "few": {"shard_rows": 10**6, "seed": 5},
    "rolling": {"split": "rolling", "folds": 2, "shard_rows": 10**6},
    "sequences": {"sequence_length": 4, "shard_rows": 10**6},
}
LONGEST_MS = 400  # a release of these takes about as long


class ReleaseSuite(Held):
    """A root with samples, and the ids of its releases; use it as a context manager."""

    name = "release"
    schedules = 200

    def __enter__(self) -> Self:
        start_server()
        with ExitStack() as held:
            make_small(lambda *bound: held.enter_context(mock.patch.object(*bound)))
            folder = Path(held.enter_context(scratch()))
            self._filled = folder / "filled"
            make_root(self._filled)
            whole = folder / "whole"
            shutil.copytree(self._filled, whole)
            self.expected = {
                name: release(whole, **changes).manifest.release for name, changes in SPECS.items()
            }
            self._held = held.pop_all()
        return self

    def run(self, seed: int, broken: str | None = None) -> tuple[list[Fault], list[str]]:
        """See `Suite`."""
        random_ = random.Random(seed)
        with self.schedule(broken) as schedule:
            try:
                for _ in range(random_.randint(1, KILLS)):
                    spec = random_.choice(sorted(SPECS))
                    rival = random_.choice([None, None, None, spec, random_.choice(sorted(SPECS))])
                    schedule.kill(spec, _chosen(random_), rival)
                return schedule.finish(), schedule.done
            except Exception as error:
                error.add_note(f"done so far: {'; '.join(schedule.done)}")
                raise

    @contextmanager
    def schedule(self, broken: str | None = None) -> Iterator[ReleaseSchedule]:
        """Hold a schedule of which nothing is done yet, on a copy of the root."""
        with scratch() as folder:
            root = Path(folder) / "root"
            # file times are part of a publication's record
            shutil.copytree(self._filled, root, copy_function=shutil.copy2)
            yield ReleaseSchedule(root, self.expected, broken)


class ReleaseSchedule:
    """Kills on one root, and what they did to it.

    Args:
        root: The storage root.
        expected: The id of each release of `SPECS`.
        broken: A defect of `defects` for the children's production code.
    """

    def __init__(self, root: Path, expected: dict[str, str], broken: str | None) -> None:
        self.done: list[str] = []
        self._settings = settings_for(root)
        self._objects = open_store(str(root))
        self._releases = Releases(self._objects)
        self._unfinished = root / TEMPORARY
        self._expected = expected
        self._broken = broken
        self._asked: set[str] = set()
        self._whole: set[str] = set()
        self._faults: list[Fault] = []

    def kill(self, spec: str, kill: Kill, rival: str | None = None) -> Outcome:
        """Make a release that is killed, if it comes so far; maybe beside one that lives."""
        self._asked |= {spec} | ({rival} if rival else set())
        children = [self._child(spec, kill)] + ([self._child(rival)] if rival else [])
        outcomes = [child.end() for child in children]
        words = f" beside {rival}" if rival else ""
        self.done.append(f"{spec} at {kill}{words}: {outcomes[0]}")
        ended = [
            s for s, outcome in zip((spec, rival), outcomes, strict=False) if not outcome.killed
        ]
        self._look([self._expected[name] for name in ended if name])
        return outcomes[0]

    def finish(self) -> list[Fault]:
        """Make what was asked for without a kill, a day later, and return all faults."""
        self._age()
        for spec in sorted(self._asked):
            self._child(spec).end()
        wanted = {self._expected[spec] for spec in self._asked}
        self._look(wanted)
        listed = {manifest.release for manifest in self._releases.all()}
        self._note("doubled", "releases that nobody asked for", listed - wanted)
        places = (release_of(path) for path in self._objects.list("training_dataset/"))
        self._note("torn", "rests of releases", {place[1] for place in places if place} - listed)
        left = list(self._unfinished.iterdir()) if self._unfinished.exists() else []
        self._note("torn", "temporary files left", left)
        return self._faults

    def _child(self, spec: str, kill: Kill | None = None) -> Child:
        return Child("release", self._settings, SPECS[spec], kill=kill, broken=self._broken)

    def _look(self, ended: Sequence[str] | set[str]) -> None:
        """What is listed is whole, and what was made stays."""
        listed, damaged = self._releases.judged()
        self._whole |= set(ended)
        self._note("torn", "damaged manifests", damaged)
        self._note("torn", "files", [f for one in listed for f in self._releases.verify(one)])
        self._note("lost", "releases", self._whole - {manifest.release for manifest in listed})
        self._whole |= {manifest.release for manifest in listed}

    def _age(self) -> None:
        """Let what killed children have left be as old as what is removed."""
        old = time.time() - (LEFTOVER_AGE + timedelta(hours=1)).total_seconds()
        for path in self._unfinished.iterdir() if self._unfinished.exists() else ():
            os.utime(path, (old, old))

    def _note(self, kind: str, words: str, found: Any) -> None:
        if found:
            self._faults.append(Fault(kind, len(found), f"{words} {list(map(str, found))[:5]}"))


def _chosen(random_: random.Random) -> Kill:
    if random_.random() < 0.3:
        return Kill(MOMENT, random_.randint(1, LONGEST_MS))
    return Kill(random_.choice(RELEASE_POINTS), random_.choice([1, 1, 2, 3, 5, 9]))
