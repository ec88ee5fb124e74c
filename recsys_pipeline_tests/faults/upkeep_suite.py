"""Suite `upkeep`: erasures and retention that are killed, or find the disk full, end as if nothing had been.

A schedule erases a user, with kills, beside living runs or not; when that is done without one, it deletes what
is old, with kills again. What is stored at the end is compared with a root on which nobody was killed.
"""

from __future__ import annotations

import random
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

from recsys_pipeline.engines.pending import STORED
from recsys_pipeline.storage.horizons import read_horizons
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.faults.bounds import make_small
from recsys_pipeline_tests.faults.children import Child, Outcome, start_server
from recsys_pipeline_tests.faults.comparison import Fault, torn_files
from recsys_pipeline_tests.faults.held import Held
from recsys_pipeline_tests.faults.kill_points import MOMENT, UPKEEP_POINTS, Kill
from recsys_pipeline_tests.faults.landing_suite import scratch
from recsys_pipeline_tests.landed import START, settings_for
from recsys_pipeline_tests.maintenance.erasure.conftest import DAYS, USER, events, fill
from recsys_pipeline_tests.maintenance.erasure.finding import holds, layers_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.settings import Settings

KILLS = 3  # at most, of each half of a schedule
LONGEST_MS = 600
TODAY = START + timedelta(days=DAYS)
KEPT = {"events": 3, "samples": 4, "quarantine": 2, "features": 5, "releases": 1}
# what may end a run whose landing is erased meanwhile: it reads the latest when it is made again
LOST_RACES = ("StaleInputError", "FileNotFoundError", "ComputeError", "OSError", "LandingError")


@dataclass(frozen=True)
class Stored:
    """What is below a root in the end."""

    files: dict[str, bytes | None]
    landed: list[tuple[Any, ...]]
    releases: set[str]
    horizons: str

    @classmethod
    def below(cls, root: str) -> Stored:
        objects = open_store(root)
        rows = Landing(root, "interactions").snapshot().scan().collect()
        sealed = read_horizons(objects).model_dump_json()
        return cls(
            {path: objects.read(path) for table in STORED for path in objects.list(f"{table}/")},
            sorted(rows.select("tenant", "batch_id", "position", "date").rows()),
            {manifest.release for manifest in Releases(objects).all()},
            sealed,
        )


class UpkeepSuite(Held):
    """A filled root, and what is to be left of it; use it as a context manager."""

    name = "upkeep"
    schedules = 200

    def __enter__(self) -> Self:
        start_server()
        with ExitStack() as held:
            make_small(lambda *bound: held.enter_context(mock.patch.object(*bound)))
            folder = Path(held.enter_context(scratch()))
            self._filled = folder / "filled"
            fill(str(self._filled / "data"), self._filled, events())
            with self.schedule() as untouched:
                untouched.finish_erasure()
                untouched.finish_retention()
                self.expected = untouched.stored()
            self._held = held.pop_all()
        return self

    def run(self, seed: int, broken: str | None = None) -> tuple[list[Fault], list[str]]:
        """See `Suite`."""
        random_ = random.Random(seed)
        with self.schedule(broken) as schedule:
            try:
                for _ in range(random_.randint(1, KILLS)):
                    work = random_.choice(["erase", "erase", "finish"])
                    schedule.kill(work, _chosen(random_), beside=random_.random() < 0.3)
                schedule.finish_erasure()
                for _ in range(random_.randint(1, KILLS)):
                    schedule.kill("retain", _chosen(random_))
                schedule.finish_retention()
                return schedule.faults(self.expected), schedule.done
            except Exception as error:
                error.add_note(f"done so far: {'; '.join(schedule.done)}")
                raise

    @contextmanager
    def schedule(self, broken: str | None = None) -> Iterator[UpkeepSchedule]:
        """Hold a schedule of which nothing is done yet, on a copy of the root."""
        with scratch() as folder:
            copied = Path(folder) / "copied"
            # file times are part of a publication's record
            shutil.copytree(self._filled, copied, copy_function=shutil.copy2)
            yield UpkeepSchedule(copied, broken)


class UpkeepSchedule:
    """Kills on one root, and what they did to it."""

    def __init__(self, folder: Path, broken: str | None) -> None:
        self.done: list[str] = []
        self._root = str(folder / "data")
        self._settings: Settings = settings_for(
            self._root,
            state_rows=1,
            metadata_url=f"sqlite:///{folder}/metadata.db",
            retention=KEPT,
        )
        self._arguments: dict[str, tuple[Any, ...]] = {
            "erase": (self._settings, "acme", [USER]),
            "finish": (self._settings,),
            "retain": (self._settings, TODAY),
            "materialise": (self._settings,),
        }
        self._broken = broken
        self._torn: list[Fault] = []

    def kill(self, work: str, kill: Kill, *, beside: bool = False) -> Outcome:
        """Do something that is killed, or finds the disk full, if it comes so far; maybe beside a run."""
        child = self._child(work, kill)
        rival = self._child("materialise") if beside else None
        outcome = child.end(("OSError", "StaleInputError", "UpkeepError", "StorageError"))
        if rival is not None:
            rival.end((*LOST_RACES, "UpkeepError"))
        self.done.append(f"{work} at {kill}{' beside a run' if beside else ''}: {outcome}")
        self._look()
        return outcome

    def finish_erasure(self) -> None:
        """Erase without a kill, and make what is stale."""
        for work in ("erase", "materialise", "finish"):
            self._child(work).end()

    def finish_retention(self) -> None:
        """Delete what is old without a kill, and make what is stale: nothing."""
        for work in ("retain", "materialise"):
            self._child(work).end()

    def stored(self) -> Stored:
        return Stored.below(self._root)

    def faults(self, expected: Stored) -> list[Fault]:
        """Return all that is not as it should be in the end."""
        found = list(self._torn)
        stored = self.stored()
        objects = open_store(self._root)
        left = [
            path
            for paths in layers_with(self._root, USER).values()
            for path in paths
            if "beta" not in path and holds(objects, path, f'"{USER}"')
        ]
        for words, there, wanted in (
            ("files", stored.files.items(), expected.files.items()),
            ("landed rows", stored.landed, expected.landed),
            ("releases", stored.releases, expected.releases),
        ):
            missing, extra = {*wanted} - {*there}, {*there} - {*wanted}
            found += _fault("lost", words, missing) + _fault("doubled", words, extra)
        found += _fault("doubled", "files with the erased", left)
        if len(stored.landed) != len({*stored.landed}):
            found += _fault("doubled", "landed rows", ["twice"])
        if stored.horizons != expected.horizons:
            found += _fault("lost", "horizons", [stored.horizons])
        return found

    def _look(self) -> None:
        """Whatever was done, what can be seen is whole."""
        self._torn += torn_files(Path(self._root))
        releases = Releases(open_store(self._root))
        bad = [finding for one in releases.all() for finding in releases.verify(one)]
        self._torn += _fault("torn", "files of releases", bad)

    def _child(self, work: str, kill: Kill | None = None) -> Child:
        return Child(work, *self._arguments[work], kill=kill, broken=self._broken)


def _fault(kind: Any, what: str, found: Any) -> list[Fault]:
    listed = [str(one)[:120] for one in found]
    return [Fault(kind, len(listed), f"{what}: {sorted(listed)[:5]}")] if listed else []


def _chosen(random_: random.Random) -> Kill:
    chance = random_.random()
    if chance < 0.25:
        return Kill(MOMENT, random_.randint(1, LONGEST_MS))
    hit = random_.choice([1, 1, 2, 3, 5, 9, 20])
    return Kill(random_.choice(UPKEEP_POINTS), hit, full=chance > 0.8)
