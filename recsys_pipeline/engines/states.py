"""The state of a tenant before some days, as a step goes through them.

States are kept on the store as a cache. A kept one is named by the hash of all that it was made from,
so only a run that would make the same finds it: after a late event or a retraction the states from
that day on are not found, and the latest one before is rolled forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from recsys_pipeline.engines.effective import digest
from recsys_pipeline.engines.view import VALIDATED
from recsys_pipeline.storage.layout import state_file, state_of, states_prefix

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date

    from recsys_pipeline.engines.view import View
    from recsys_pipeline.storage.records import Partition
    from recsys_pipeline.transforms.event_pass import EventPass
    from recsys_pipeline.transforms.state import State

# raise it when the arrays of a state, or what they mean, change
STATE_VERSION = "3"
APART = timedelta(days=7)  # between two kept states of a tenant, unless a day's events are many
KEPT = 4


@dataclass
class _Position:
    """How far a tenant's days have been gone through.

    Attributes:
        day: The last day of `before` and `latest`; None at the beginning.
        before: The state before `latest`.
        latest: The pass that has not been merged yet: nothing may need the state after it.
        rows: Events since a state was kept.
        kept: The day of that state.
    """

    day: date | None
    before: State
    latest: EventPass | None = None
    rows: int = 0
    kept: date | None = None


class States:
    """Goes through the days of tenants, in order.

    Args:
        view: What the run sees.
        until: The last day.
    """

    def __init__(self, view: View, until: date) -> None:
        self._view = view
        self._until = until
        self._objects = view.store.objects
        self._chains = view.chains("interactions", until)
        self._positions: dict[str, _Position] = {}
        self._partitions: dict[str, list[Partition]] = {}
        for partition, seen in sorted(view.effective("interactions", until).items()):
            if seen.has_rows:
                self._partitions.setdefault(partition[1], []).append(partition)

    def passes(self, tenant: str, days: Collection[date]) -> Iterator[tuple[EventPass, list[date]]]:
        """Go through a tenant's events from the nearest state up to the last of some days.

        Args:
            tenant: The tenant.
            days: Days wanted, none of them before those of an earlier call.

        Yields:
            A pass of bounded size, and those of the days that it holds.

        Raises:
            StaleInputError: Another run has published a day while it was read.
        """
        wanted = set(days)
        position = self._before(tenant, min(wanted))
        for group in self._groups(tenant, position, max(wanted)):
            one, position = self._pass(position, group)
            self._positions[tenant] = position
            yield one, sorted(wanted.intersection(day for day, _ in group))
            del one  # once merged it goes, before the next pass is read
            self._keep(tenant, position)
            if not self._after(tenant, position.day, self._until):
                self._positions.pop(tenant, None)  # no later day of it can be asked for

    def after(self, tenant: str, day: date) -> State:
        """Return the state of a tenant after a day.

        Raises:
            StaleInputError: Another run has published a day while it was read.
        """
        position = self._before(tenant, day + timedelta(days=1))
        for group in self._groups(tenant, position, day):
            _, position = self._pass(position, group)
        return self._state(position)

    def _groups(self, tenant: str, position: _Position, last: date) -> Iterator[list[Partition]]:
        return self._view.groups("interactions", self._after(tenant, position.day, last))

    def _pass(self, position: _Position, group: list[Partition]) -> tuple[EventPass, _Position]:
        """Go through the events of some days, and return the position after them."""
        from recsys_pipeline.transforms.event_pass import EventPass

        view, state = self._view, self._state(position)
        one = EventPass(state, view.parts("interactions", group))
        # what a state is made from must be what its name says
        view.confirm(VALIDATED["interactions"], view.published("interactions", group))
        rows = position.rows + len(one.times)
        return one, _Position(group[-1][0], state, one, rows, position.kept)

    def _state(self, position: _Position) -> State:
        """Return the state after the last day of a position."""
        from recsys_pipeline.engines.state_files import merged_state
        from recsys_pipeline.transforms.merge import Merge

        if position.latest is not None:
            limit = self._view.settings.state_bucket_mib * 2**20
            position.before = merged_state(Merge(position.latest), self._objects, limit)
            position.latest = None
        return position.before

    def _after(self, tenant: str, day: date | None, last: date) -> list[Partition]:
        """Return a tenant's partitions with rows after a day, up to the last."""
        own = self._partitions.get(tenant, [])
        return [p for p in own if (day is None or p[0] > day) and p[0] <= last]

    def _before(self, tenant: str, day: date) -> _Position:
        """Return the position nearest to a day, of those before it."""
        own = self._positions.get(tenant)
        if own is not None and own.day is not None and own.day < day <= own.day + APART:
            return own
        kept = self._find(tenant, day)
        if kept is not None and not (own and own.day and kept.day and kept.day <= own.day < day):
            return kept
        return own if own and own.day and own.day < day else self._beginning(tenant)

    def _beginning(self, tenant: str) -> _Position:
        """Return the position before a tenant's first day: without events, or with those sealed."""
        from recsys_pipeline.engines.sealed import sealed_state
        from recsys_pipeline.transforms.state import State

        seal = self._view.seal(tenant)
        if seal is None:
            return _Position(None, State.empty())
        return _Position(seal.day, sealed_state(self._objects, tenant, seal), kept=seal.day)

    def _name(self, tenant: str, day: date) -> str:
        return state_file(tenant, day, digest(STATE_VERSION, self._chains.until(tenant, day)))

    def _kept_days(self, tenant: str) -> list[date]:
        """Return the days, latest first, of which the state of today's events is kept."""
        paths = self._objects.list(states_prefix(tenant))
        days = {found[0] for path in paths if (found := state_of(path))}
        known = (day for day in days if day <= self._until and self._name(tenant, day) in paths)
        return sorted(known, reverse=True)

    def _find(self, tenant: str, before: date) -> _Position | None:
        from recsys_pipeline.engines.state_files import kept_state

        for day in self._kept_days(tenant):
            if day < before and (state := kept_state(self._objects, self._name(tenant, day))):
                return _Position(day, state, kept=day)
        return None

    def _keep(self, tenant: str, position: _Position) -> None:
        """Keep the state of a position where rolling an earlier one forward would cost too much."""
        from recsys_pipeline.engines.state_files import keep_state

        settings, day = self._view.settings, position.day
        apart = position.kept is None or (day is not None and day - position.kept >= APART)
        many = position.rows >= settings.chunk_rows
        if day is None or position.rows < settings.state_rows or not (apart or many):
            return
        kept = self._kept_days(tenant)
        if day not in kept and len([newer for newer in kept if newer > day]) < KEPT:
            keep_state(self._objects, self._name(tenant, day), self._state(position))
            self._prune(tenant)
        position.rows, position.kept = 0, day

    def _prune(self, tenant: str) -> None:
        """Leave the latest states that are those of today's events, and those of later days."""
        left = {self._name(tenant, day) for day in self._kept_days(tenant)[:KEPT]}
        for path in self._objects.list(states_prefix(tenant)):
            found = state_of(path)
            if path not in left and found is not None and found[0] <= self._until:
                self._objects.delete(path)
