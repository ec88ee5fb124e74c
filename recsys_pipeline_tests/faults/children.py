"""Child processes that land, materialise, compact, release, erase or retain, and may be killed on the way.

They are forked from a server that has imported everything and started nothing: the thread pools of
Polars, deltalake and librdkafka do not survive a fork.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import multiprocessing
import os
import signal
import traceback
import uuid
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_pipeline_tests.faults import bounds
from recsys_pipeline_tests.faults.kill_points import Kill, Trap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import date
    from multiprocessing.connection import Connection

    from recsys_pipeline.kafka.ranges import OffsetRange
    from recsys_pipeline.settings import Settings

PRELOAD = "recsys_pipeline_tests.faults.preloaded"
HUNG_SECONDS = 120
# one thread each: a schedule's data are a few rows, and thread pools cost more than they bring
POOLS = {"POLARS_MAX_THREADS": "1", "TOKIO_WORKER_THREADS": "1"}


class UnexpectedError(Exception):
    """A child, or the landing itself, did what no kill explains."""


class UpkeepError(Exception):
    """All that was asked for is done, but upkeep of the landing has failed meanwhile."""


@dataclass(frozen=True)
class Outcome:
    """How a child ended.

    Attributes:
        killed: By SIGKILL.
        error: Name of the exception that ended it, if one did.
    """

    killed: bool
    error: str | None = None

    def __str__(self) -> str:
        return "killed" if self.killed else self.error or "done"


def land(settings: Settings, topic: str, topic_id: str, ranges: Sequence[OffsetRange]) -> None:
    """Land as the run that the sensor requests does."""
    from recsys_pipeline.ingestion.kafka_landing import land_ranges
    from recsys_pipeline.kafka import group

    landed = land_ranges(settings, topic, topic_id, ranges)
    group.mirror_offsets(settings, topic, {one.partition: one.end for one in landed})


def materialise(settings: Settings, every: int = 1) -> None:
    """Make what is pending, or every n-th day of it."""
    from recsys_pipeline.engines.pending import pending_days
    from recsys_pipeline_tests.landed import run_days, view_of

    run_days(settings, pending_days(view_of(settings))[::every])


def compact(settings: Settings, kind: str) -> None:
    from recsys_pipeline.storage.landing import Landing

    Landing(settings.storage_root, kind).compact()


def vacuum(settings: Settings, kind: str) -> None:
    """Delete what nobody can ask for any more, as if a week had gone by."""
    from recsys_pipeline.storage import landing_upkeep, landing_vacuum
    from recsys_pipeline.storage.landing import Landing

    now = landing_vacuum._now
    landing_vacuum._now = lambda: now() + 8 * 86_400_000
    landing_vacuum.STAGED = timedelta()
    landing = Landing(settings.storage_root, kind)
    version = landing.snapshot().version
    if version >= 0:
        landing_upkeep._clear(landing, version, 0)


def release(settings: Settings, changes: dict[str, Any]) -> None:
    """Make a release of the small landing, as the command does."""
    from dataclasses import replace

    from recsys_pipeline.engines.release import make_release
    from recsys_pipeline_tests.landed import view_of
    from recsys_pipeline_tests.releases import SPEC

    spec = replace(SPEC, **changes)
    make_release(view_of(settings, [spec.tenant]), spec)


def erase(settings: Settings, tenant: str, users: Sequence[str]) -> None:
    from recsys_pipeline.maintenance.erasure.erase import erase

    erase(settings, tenant, frozenset((user, None) for user in users))


def finish_erasures(settings: Settings) -> None:
    from recsys_pipeline.maintenance.erasure.erase import finish

    finish(settings)


def retain(settings: Settings, today: date) -> None:
    """Delete what is old on a day.

    Raises:
        RecsysError: Something can't be deleted.
    """
    from recsys_pipeline.errors import StorageError
    from recsys_pipeline.maintenance.retention import Retention
    from recsys_pipeline.storage.objects import open_store
    from recsys_pipeline.storage.parquet_store import ParquetStore

    store = ParquetStore(open_store(settings.storage_root))
    for step in Retention(settings, store, today).apply():
        if step.state == "refused":
            raise StorageError(f"{step.layer} of {step.tenant}", step.reason)


WORK = {
    "erase": erase,
    "finish": finish_erasures,
    "retain": retain,
    "land": land,
    "materialise": materialise,
    "compact": compact,
    "vacuum": vacuum,
    "release": release,
}


class Child:
    """A running child.

    Args:
        work: What it does, one of `WORK`.
        args: The settings first.
        kill: Where to kill it, or where it stops until `go`.
        stops: It stops there instead.
        broken: A defect of `defects` that its production code is given.
    """

    def __init__(
        self,
        work: str,
        *args: Any,
        kill: Kill | None = None,
        stops: bool = False,
        broken: str | None = None,
    ) -> None:
        self.work = work
        self._told = f"{work} {'stops' if stops else 'dies'} at {kill}:" if kill else f"{work}:"
        self._report = Path(args[0].storage_root).parent / f"report-{uuid.uuid4().hex}"
        context = multiprocessing.get_context("forkserver")
        self._pipe, end = context.Pipe() if stops else (None, None)
        self._process = context.Process(
            target=_enter, args=(work, args, kill, end, broken, str(self._report))
        )
        self._process.start()
        if end is not None:
            end.close()

    def __str__(self) -> str:
        return self._told

    def stopped(self) -> bool:
        """Wait until it has stopped at its point; False when it ends without."""
        try:
            return bool(self._pipe.poll(HUNG_SECONDS)) and bool(self._pipe.recv())
        except EOFError:
            return False

    def go(self) -> None:
        """Let a stopped one go on."""
        with contextlib.suppress(OSError):
            self._pipe.send(True)

    def wait(self, seconds: float) -> None:
        """Wait for its end, but no longer than this."""
        self._process.join(seconds)

    def end(self, may: Collection[str] = ()) -> Outcome:
        """Wait for its end.

        Args:
            may: Exceptions that may end it.

        Raises:
            UnexpectedError: It ended by another one, or hangs.
        """
        self._process.join(HUNG_SECONDS)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise UnexpectedError(f"{self.work} hangs for {HUNG_SECONDS} s")
        if code == -signal.SIGKILL:
            return Outcome(killed=True)
        if code == 0:
            return Outcome(killed=False)
        told = json.loads(self._report.read_text()) if self._report.exists() else {}
        if told.get("error") not in may:
            raise UnexpectedError(f"{self.work} ended with {code}: {told.get('text', 'no report')}")
        return Outcome(killed=False, error=told["error"])


@contextlib.contextmanager
def small_pools() -> Iterator[None]:
    """Processes started within have small thread pools."""
    before = {name: os.environ.get(name) for name in POOLS}
    os.environ.update(POOLS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def start_server() -> None:
    """Start the server that children are forked from, unless it runs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    with small_pools():
        forkserver.ensure_running()


def _enter(
    work: str,
    args: tuple[Any, ...],
    kill: Kill | None,
    pipe: Connection | None,
    broken: str | None,
    report: str,
) -> None:
    gc.disable()  # it would copy the server's memory, and the child ends soon
    try:
        if broken:
            from recsys_pipeline_tests.faults.defects import DEFECTS

            DEFECTS[broken]()
        # of a broker that is down librdkafka speaks every second
        logging.getLogger("recsys_pipeline.kafka").setLevel(logging.CRITICAL)
        bounds.make_small(setattr)
        if kill:
            Trap(kill, _stop(pipe) if pipe else None).install()
        _do(work, args)
    except BaseException as error:  # noqa: BLE001  # told to the parent, which judges it
        told = {"error": type(error).__name__, "text": traceback.format_exc()}
        Path(report).write_text(json.dumps(told))
        os._exit(1)
    os._exit(0)  # without the pools' ends, which take longer than the work


def _do(work: str, args: tuple[Any, ...]) -> None:
    told: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(logging.Formatter().format(record))

    logger = logging.getLogger("recsys_pipeline.storage.landing")
    logger.addHandler(Handler())
    logger.propagate = False
    WORK[work](*args)
    if told:
        raise UpkeepError(told[0])


def _stop(pipe: Connection) -> Any:
    def stop() -> None:
        pipe.send(True)
        pipe.recv()

    return stop
