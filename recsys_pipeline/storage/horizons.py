"""Up to which day a tenant's data was deleted by retention, and what of it later days build on.

One object for all tenants, `_meta/horizons.json`. It tells what has been done, not what is wished: a longer
retention brings nothing back.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from recsys_pipeline.errors import StorageError
from recsys_pipeline.storage.layout import HORIZONS, sealed_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys_pipeline.storage.objects import ObjectStore

EVENTS = "raw_interactions"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Seal(_Part):
    """A tenant's events up to a day, of which the state after it is left.

    Attributes:
        day: The last sealed day.
        chain: Hash of all content up to it: what later days are made from does not change by sealing.
        state: Path of the state.
        blake2b: Hash of its bytes.
    """

    day: date
    chain: str
    state: str
    blake2b: str


class Horizon(_Part):
    """What retention has left of a tenant.

    Attributes:
        kept_from: The first day that is kept, by table; a table that is not named is whole.
        seal: What is left of the events before.
    """

    kept_from: dict[str, date] = {}
    seal: Seal | None = None


class Horizons(_Part):
    """The horizons of all tenants that have any."""

    tenants: dict[str, Horizon] = {}

    def of(self, tenant: str) -> Horizon:
        """Return a tenant's."""
        return self.tenants.get(tenant, Horizon())

    def keeps(self, asset: str, day: date, tenant: str) -> bool:
        """Say whether a tenant's day of a table is kept.

        What is made of events that are gone is not made any more.
        """
        return day >= self.of(tenant).kept_from.get(asset, date.min)


def read_horizons(objects: ObjectStore) -> Horizons:
    """Read the horizons.

    Raises:
        StorageError: They can't be read: days would be made from a part of their events.
    """
    data = objects.read(HORIZONS)
    if data is None:
        return Horizons()
    try:
        return Horizons.model_validate_json(data)
    except ValidationError as error:
        raise StorageError(
            objects.uri(HORIZONS),
            f"can't be read ({error.errors()[0]['msg']})",
            "Restore it from a backup",
        ) from None


def move_horizon(
    objects: ObjectStore, tenant: str, change: Callable[[Horizon], Horizon]
) -> Horizon:
    """Replace a tenant's horizon, and delete each sealed state of the tenant that it does not name.

    Args:
        objects: The store.
        tenant: The tenant.
        change: Returns the new horizon, given what is there; it writes the state that it names, for one
            that is written without the lock could be deleted before it is named.
    """
    with objects.lock("horizons") as lock:
        horizons = read_horizons(objects)
        made = change(horizons.of(tenant))
        lock.confirm()
        every = Horizons(tenants={**horizons.tenants, tenant: made})
        objects.write(HORIZONS, (every.model_dump_json(indent=1) + "\n").encode())
        lock.confirm()  # whoever has it by now writes a state of its own
        _sweep(objects, tenant, made)
    return made


def sweep_sealed(objects: ObjectStore, tenant: str) -> int:
    """Delete the sealed states of a tenant that killed runs have left; return how many."""
    with objects.lock("horizons") as lock:
        horizon = read_horizons(objects).of(tenant)
        lock.confirm()
        return _sweep(objects, tenant, horizon)


def _sweep(objects: ObjectStore, tenant: str, horizon: Horizon) -> int:
    named = horizon.seal.state if horizon.seal else None
    lost = [path for path in objects.list(sealed_prefix(tenant)) if path != named]
    for path in lost:
        objects.delete(path)
    return len(lost)
