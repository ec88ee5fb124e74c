"""What every request shares: settings, database, and how much of a tenant is under way."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread

from recsys_pipeline.api.notices import NoticeSender
from recsys_pipeline.api.problems import ApiError
from recsys_pipeline.ingestion.group_commit import GroupedLanding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.landing import Kind


T = TypeVar("T")
WORKERS = 16


@dataclass
class Context:
    """What every request shares.

    Attributes:
        settings: The settings.
        database: The metadata database.
        notices: Announces what has landed.
        health: When storage and the others were asked last, and what was found.
    """

    settings: Settings
    database: Engine
    notices: NoticeSender = field(init=False)
    health: tuple[float, Any] | None = None
    _under_way: Counter[str] = field(default_factory=Counter)
    _workers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(WORKERS))
    _landings: dict[Kind, GroupedLanding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.notices = NoticeSender(self.settings)

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what reads and lands rows in a thread of its few: probes and checks need some too."""
        call = partial(function, *arguments)
        return await to_thread.run_sync(call, limiter=self._workers)

    def landing(self, kind: Kind) -> GroupedLanding:
        """Return the one landing table of a kind that all requests of the process share."""
        return self._landings.setdefault(kind, GroupedLanding(self.settings.storage_root, kind))

    @contextmanager
    def upload_of(self, tenant: str) -> Iterator[None]:
        """Count an upload of a tenant while it is worked on, so that one can't starve the others.

        Raises:
            ApiError: Too many of the tenant are.
        """
        limit = self.settings.api_uploads_per_tenant
        if self._under_way[tenant] >= limit:
            raise ApiError(
                429,
                "too_many_uploads",
                f"{limit} uploads of tenant {tenant!r} are under way",
                "Send this one again when one of them is answered",
                retry_after=1,
            )
        self._under_way[tenant] += 1
        try:
            yield
        finally:
            self._under_way[tenant] -= 1
