"""Which days need a run: landed but not published, or published from older inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recsys_pipeline.engines.steps import (
    FEATURES,
    SAMPLES,
    feature_inputs,
    sample_inputs,
)
from recsys_pipeline.engines.view import QUARANTINED, VALIDATED, View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from recsys_pipeline.engines.steps import Side
    from recsys_pipeline.storage.records import Partition

# in the order in which they are made
STORED = (
    "validated_items",
    "quarantined_items",
    "validated_interactions",
    "quarantined_interactions",
    "user_features",
    "item_features",
    "training_samples",
)

State = Literal["current", "stale", "missing", "held"]


@dataclass(frozen=True)
class Standing:
    """How one published (asset, day, tenant) stands against the landing.

    Attributes:
        state: `current`; `stale` when its inputs have changed; `missing` when it was never
            published; `held` when its day is over the quarantine limit.
        rows: Rows published.
    """

    asset: str
    day: date
    tenant: str
    state: State
    rows: int


def standings(view: View) -> Iterator[Standing]:
    """Judge every stored (asset, day, tenant) that the landing or a publication knows of."""
    for kind in ("interactions", "items"):
        for asset in (VALIDATED[kind], QUARANTINED[kind]):
            for partition in _known(view, asset, kind):
                inputs = view.validated_inputs(kind, partition)
                yield _standing(view, asset, partition, inputs)
    start = view.settings.start_date
    days = [day for day, _ in view.landed("interactions") if day >= start]
    if not days:
        return
    events = view.chains("interactions", max(days))
    items = view.chains("items", max(days))
    seen = view.effective("interactions", max(days))
    sides: tuple[Side, ...] = ("user", "item")
    for side in sides:
        for partition in _known(view, FEATURES[side], "interactions"):
            held = partition in seen and seen[partition].held
            inputs = feature_inputs(view, side, partition, events)
            yield _standing(view, FEATURES[side], partition, inputs, held=held)
    for partition in _known(view, SAMPLES, "interactions"):
        held = partition in seen and seen[partition].held
        inputs = sample_inputs(view, partition, events, items)
        yield _standing(view, SAMPLES, partition, inputs, held=held)


def pending_days(view: View) -> list[date]:
    """Return the days, in order, on which something is stale or missing."""
    return sorted({s.day for s in standings(view) if s.state in {"stale", "missing"}})


def _known(view: View, asset: str, kind: Literal["interactions", "items"]) -> list[Partition]:
    start = view.settings.start_date
    found = {p for p in view.landed(kind) if p[0] >= start}
    for day in view.published_days(asset):
        if day >= start:
            found |= {
                (day, tenant)
                for tenant in view.records(asset, day)
                if view.tenants is None or tenant in view.tenants
            }
    return sorted(found)


def _standing(
    view: View, asset: str, partition: Partition, inputs: str, *, held: bool = False
) -> Standing:
    record = view.records(asset, partition[0]).get(partition[1])
    intact = view.intact(asset, partition)
    state: State
    if held or (intact and intact.held and intact.inputs == inputs):
        state = "held"
    elif record is None:
        state = "missing"
    elif intact and intact.inputs == inputs:
        state = "current"
    else:
        state = "stale"
    return Standing(asset, *partition, state, record.rows if record else 0)
