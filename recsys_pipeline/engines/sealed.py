"""Sealing: the state after a day, kept as data in the place of all events up to it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_pipeline.engines.effective import digest
from recsys_pipeline.engines.state_files import keep_state, kept_state
from recsys_pipeline.engines.states import States
from recsys_pipeline.errors import StaleInputError, StorageError
from recsys_pipeline.storage.file_hash import hash_file
from recsys_pipeline.storage.horizons import EVENTS, Horizon, Seal, move_horizon, read_horizons
from recsys_pipeline.storage.layout import sealed_file
from recsys_pipeline.transforms.event_pass import totals_frame
from recsys_pipeline.transforms.leakage_sealed import Sealed
from recsys_pipeline.transforms.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import date

    import numpy.typing as npt

    from recsys_pipeline.engines.view import View
    from recsys_pipeline.storage.objects import ObjectStore
    from recsys_pipeline.transforms.state import Users


def sealed_state(objects: ObjectStore, tenant: str, seal: Seal) -> State:
    """Read the state that is left of a tenant's sealed events.

    Raises:
        StaleInputError: The seal has been replaced since it was read.
        StorageError: It is gone or damaged, and with it what later days are made from.
    """
    state = kept_state(objects, seal.state)
    if state is None:
        _confirm(tenant, read_horizons(objects).of(tenant), seal)
        raise StorageError(
            objects.uri(seal.state),
            f"is missing or damaged: it is what is left of the events of {tenant} up to {seal.day}",
            "Restore it from a backup",
        )
    return state


def seal(view: View, tenant: str, last: date) -> None:
    """Keep the state after a day, and see none of its events from then on.

    Nothing is deleted. What later days are made from stays the same, so none of them goes stale.

    Args:
        view: What is published, seen now.
        tenant: The tenant.
        last: The last day to seal.

    Raises:
        StaleInputError: Another run, or an erasure, has replaced the seal meanwhile.
    """
    objects = view.store.objects
    state = States(view, last).after(tenant, last)
    chain = view.chains("interactions", last).until(tenant, last)
    first = last + timedelta(days=1)

    def sealed(horizon: Horizon) -> Horizon:
        _confirm(tenant, horizon, view.horizons.of(tenant).seal)
        kept = {**horizon.kept_from, EVENTS: first, "validated_interactions": first}
        return Horizon(kept_from=kept, seal=_keep(objects, tenant, last, chain, state))

    move_horizon(objects, tenant, sealed)


def sealed_sums(view: View, tenant: str) -> Sealed | None:
    """Return what the leakage check may know of a tenant's sealed events; None where it has none."""
    seal = view.seal(tenant)
    if seal is None:
        return None
    state = sealed_state(view.store.objects, tenant, seal)
    items = pl.Series(state.items.ids, dtype=pl.String)
    users, met = [], []
    for bucket in state.buckets:
        ids = pl.Series(bucket.entities.ids, dtype=pl.String)
        users.append(_sums("user_id", ids, bucket.entities.totals))
        owner = np.repeat(np.arange(len(ids)), np.diff(bucket.met_offsets))
        met.append(
            pl.DataFrame(
                {
                    "user_id": ids.gather(owner),
                    "item_id": items.gather(bucket.met >> 1),
                    "engaged": bucket.met & 1 == 1,
                }
            )
        )
    totals = {"user_id": pl.concat(users), "item_id": _sums("item_id", items, state.items.totals)}
    return Sealed(totals, pl.concat(met))


def _sums(name: str, ids: pl.Series, totals: npt.NDArray[np.int64]) -> pl.DataFrame:
    return totals_frame(totals).rename({"unique_others": "unique"}).with_columns(ids.alias(name))


def seal_without(
    objects: ObjectStore, tenant: str, find: Callable[[pl.Series], Collection[str]]
) -> int:
    """Take users out of the state that is left of sealed events; all later days are stale then.

    Sums over users, those of items, stay as they are: nobody can be told from them.

    Args:
        objects: The store.
        tenant: The tenant.
        find: Returns those of some user ids that go.

    Returns:
        Number of users taken out.

    Raises:
        StaleInputError: Another run has replaced the seal meanwhile.
    """
    old = read_horizons(objects).of(tenant).seal
    if old is None:
        return 0
    state = sealed_state(objects, tenant, old)
    gone = 0
    buckets: list[Users] = []
    for bucket in state.buckets:
        ids = pl.Series(bucket.entities.ids, dtype=pl.String)
        codes = ids.is_in(list(find(ids))).arg_true().cast(pl.Int64).to_numpy()
        gone += len(codes)
        buckets.append(bucket.without(codes) if len(codes) else bucket)
    if gone:
        chain = digest("without", gone, old.chain)
        left = State.of(state.items, buckets)

        def without(horizon: Horizon) -> Horizon:
            _confirm(tenant, horizon, old)
            made = _keep(objects, tenant, old.day, chain, left)
            return horizon.model_copy(update={"seal": made})

        move_horizon(objects, tenant, without)
    return gone


def _confirm(tenant: str, horizon: Horizon, seen: Seal | None) -> None:
    """Refuse to go on from a seal that is no longer the tenant's."""
    if horizon.seal != seen:
        raise StaleInputError(f"seal of {tenant}", "was replaced meanwhile", "Run it again")


def _keep(objects: ObjectStore, tenant: str, day: date, chain: str, state: State) -> Seal:
    path = sealed_file(tenant, day, chain)
    keep_state(objects, path, state)
    handle = objects.open(path)
    if handle is None:
        raise StorageError(objects.uri(path), "was removed while it was written", "Run it again")
    with handle:
        return Seal(day=day, chain=chain, state=path, blake2b=hash_file(handle))
