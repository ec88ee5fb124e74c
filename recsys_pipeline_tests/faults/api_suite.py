"""Suite `api`: what was answered 2xx has landed once, whenever the service is killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from recsys_pipeline_tests.faults.api_schedule import run
from recsys_pipeline_tests.faults.comparison import Fault
from recsys_pipeline_tests.faults.landing_suite import scratch

if TYPE_CHECKING:
    from types import TracebackType

KILLS = 5  # of one schedule


class ApiSuite:
    """A schedule is a service of its own that is killed a few times; see `Suite`."""

    name = "api"
    schedules = 40

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def run(self, seed: int, broken: str | None = None) -> tuple[list[Fault], list[str]]:
        """See `Suite`."""
        with scratch() as folder:
            outcome = run(Path(folder), KILLS, seed, broken)
        done = [f"{KILLS} kills, {outcome.answered} answered, {outcome.unanswered} not"]
        found = (
            ("lost", outcome.lost, "uploads"),
            ("doubled", outcome.doubled, "uploads"),
            ("torn", outcome.torn, "uploads"),
            ("torn", outcome.other, "answers of uploads"),
        )
        faults = [Fault(kind, len(n), f"{what} {n[:5]}") for kind, n, what in found if n]
        return faults, done
