"""Runs many schedules of a suite in several processes, and counts the faults."""

from __future__ import annotations

import multiprocessing
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from recsys_pipeline_tests.faults.children import small_pools
from recsys_pipeline_tests.faults.suites import SUITES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from recsys_pipeline_tests.faults.comparison import Fault

KINDS = ("lost", "doubled", "torn")
TOLD = 200  # schedules between two lines of progress


@dataclass
class Total:
    """What many schedules found.

    Attributes:
        suite: Name of the suite.
        schedules: Those that came to their end.
        failed: Those that could not.
        counts: Faults by kind.
    """

    suite: str
    schedules: int = 0
    failed: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        return not self.failed and not self.counts.total()

    def __str__(self) -> str:
        counts = " ".join(f"{kind}={self.counts[kind]}" for kind in KINDS)
        return f"suite={self.suite} schedules={self.schedules} {counts}"


def run_suite(
    name: str,
    seeds: Sequence[int],
    jobs: int,
    say: Callable[[str], None],
    broken: str | None = None,
) -> Total:
    """Run a schedule per seed.

    Args:
        name: Name of the suite.
        seeds: The seeds.
        jobs: Processes that run schedules, each with a broker and children of its own.
        say: Takes the lines for the reader.
        broken: A defect of `defects` for production code.

    Returns:
        The sum.
    """
    total = Total(name)
    # not forked from a server as children are: a worker compares with Polars and asks the broker
    context = multiprocessing.get_context("spawn")
    workers = []
    for number in range(min(jobs, len(seeds))):
        ours, theirs = context.Pipe()
        worker = context.Process(target=_work, args=(name, seeds[number::jobs], theirs, broken))
        with small_pools():
            worker.start()
        theirs.close()
        workers.append((worker, ours))
    open_pipes = {pipe for _, pipe in workers}
    while open_pipes:
        for pipe in wait(open_pipes):
            try:
                seed, faults, words = pipe.recv()
            except EOFError:
                open_pipes.discard(pipe)
                continue
            _note(total, seed, faults, words, say)
            if faults is not None and total.schedules % TOLD == 0:
                say(f"so far: {total}")
    for worker, _ in workers:
        worker.join()
    total.failed = len(seeds) - total.schedules
    return total


def _note(
    total: Total, seed: int, faults: list[Fault] | None, words: str, say: Callable[[str], None]
) -> None:
    replay = f"make faults SUITE={total.suite} SCHEDULES=1 SEED={seed}"
    if faults is None:
        say(f"seed {seed} could not be carried out; replay: {replay}\n{words}")
        return
    total.schedules += 1
    for fault in faults:
        total.counts[fault.kind] += fault.count
    if faults:
        told = "\n".join(f"  {fault.kind} {fault.count}: {fault.words}" for fault in faults)
        say(f"seed {seed} found faults; replay: {replay}\n{told}\n  done: {words}")


def _work(name: str, seeds: Sequence[int], results: Connection, broken: str | None) -> None:
    with SUITES[name]() as suite:
        for seed in seeds:
            try:
                faults, done = suite.run(seed, broken)
            except Exception:  # noqa: BLE001  # the seed is told, and the others go on
                results.send((seed, None, traceback.format_exc()))
            else:
                results.send((seed, faults, "; ".join(done)))
