"""Which days need a run: landed but not published, or published from older inputs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
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

    from recsys_pipeline.engines.steps import Side
    from recsys_pipeline.storage.landing import Kind
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
    """Judge every stored (asset, day, tenant) that the landing or a publication knows of.

    Nothing is split for it: what follows a day that is not yet validated is itself not current.
    """
    for kind in ("interactions", "items"):
        for asset in (VALIDATED[kind], QUARANTINED[kind]):
            for partition in _known(view, asset, kind):
                current = view.is_split(kind, partition)
                record = view.records(VALIDATED[kind], partition[0]).get(partition[1])
                held = current and record is not None and record.held
                yield _standing(view, asset, partition, current=current, held=held)
    until = max((day for day, _ in view.landed("interactions")), default=date.min)
    events = view.chains("interactions", until, resolve=False)
    items = view.chains("items", until, resolve=False)
    seen = view.effective("interactions", until, resolve=False)
    for asset in (*FEATURES.values(), SAMPLES):
        for partition in _known(view, asset, "interactions"):
            if asset == SAMPLES:
                inputs = sample_inputs(view, partition, events, items)
            else:
                side: Side = "user" if asset == FEATURES["user"] else "item"
                inputs = feature_inputs(view, side, partition, events)
            record = view.intact(asset, partition)
            current = record is not None and record.inputs == inputs
            held = partition in seen and seen[partition].held
            yield _standing(view, asset, partition, current=current, held=held)


def pending_days(view: View) -> list[date]:
    """Return the days, in order, on which something is stale or missing."""
    return sorted({s.day for s in standings(view) if s.state in {"stale", "missing"}})


def _known(view: View, asset: str, kind: Kind) -> list[Partition]:
    start = view.settings.start_date
    found = {*view.landed(kind), *view.partitions(asset)}
    return sorted(p for p in found if p[0] >= start and view.keeps(asset, p))


def _standing(
    view: View, asset: str, partition: Partition, *, current: bool, held: bool
) -> Standing:
    record = view.records(asset, partition[0]).get(partition[1])
    state: State
    if held:
        state = "held"
    elif current:
        state = "current"
    else:
        state = "stale" if record else "missing"
    return Standing(asset, *partition, state, record.rows if record else 0)
