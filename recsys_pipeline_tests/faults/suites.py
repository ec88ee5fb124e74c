"""The suites of the fault harness by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from recsys_pipeline_tests.faults.api_suite import ApiSuite
from recsys_pipeline_tests.faults.landing_suite import LandingSuite
from recsys_pipeline_tests.faults.release_suite import ReleaseSuite
from recsys_pipeline_tests.faults.s3_suite import S3Suite
from recsys_pipeline_tests.faults.upkeep_suite import UpkeepSuite

if TYPE_CHECKING:
    from types import TracebackType

    from recsys_pipeline_tests.faults.comparison import Fault


class Suite(Protocol):
    """Schedules of faults; a context manager that holds what they share."""

    name: str
    schedules: int  # by default

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def run(self, seed: int, broken: str | None = None) -> tuple[list[Fault], list[str]]:
        """Run the schedule of a seed.

        Args:
            seed: Of all its choices.
            broken: A defect of `defects` for production code.

        Returns:
            The faults found, and what was done.

        Raises:
            Exception: The schedule could not be carried out.
        """
        ...


SUITES: dict[str, type[Suite]] = {
    suite.name: suite for suite in (LandingSuite, ApiSuite, ReleaseSuite, UpkeepSuite, S3Suite)
}
