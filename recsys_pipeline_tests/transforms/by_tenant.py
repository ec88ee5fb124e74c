"""The transforms of one tenant, applied to the worlds of several; divided into passes on request."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.schemas.samples import (
    NEGATIVE_SOURCES,
    SAMPLE_KEYS,
    SampleKeys,
    TrainingSample,
)
from recsys_pipeline.transforms.candidates import KnownItems
from recsys_pipeline.transforms.event_pass import EPOCH, EventPass
from recsys_pipeline.transforms.merge import Merge
from recsys_pipeline.transforms.negatives import negatives
from recsys_pipeline.transforms.positives import positives
from recsys_pipeline.transforms.samples import training_samples
from recsys_pipeline.transforms.state import State
from recsys_pipeline_tests.transforms import strategies as world

NEGATIVE_COLUMNS = (
    "tenant", "date", "user_id", "item_id", "timestamp", "negative_source",
    "sampling_probability", "conditional_probability",
)  # fmt: skip
SHORTFALL = {"tenant": pl.String(), "date": pl.Date(), "shortfall": pl.Int64()}


def passes(events: pl.DataFrame, cuts=()):
    """Yield passes over a tenant's events and their days; a pass ends with each day of `cuts`.

    Buckets of the state are divided at each, so that more than one is in play.
    """
    state, low = State.empty(), None
    for last in [*sorted(cuts), None]:
        part = events if low is None else events.filter(pl.col("date") > low)
        part = part if last is None else part.filter(pl.col("date") <= last)
        one = EventPass(state, part)
        yield one, sorted(set(part["date"]))
        state, low = Merge(one).state(limit=0), last


def tenants(events, versions):
    """Yield each tenant with its events and item versions."""
    frame = world.interaction_frame(events).collect()
    listed = world.item_frame(versions).collect()
    for tenant in world.TENANTS:
        own = pl.col("tenant") == tenant
        yield tenant, frame.filter(own), listed.filter(own)


def short_frame(tenant, shortfall):
    return pl.DataFrame(
        [(tenant, day, n) for day, n in shortfall.items()], schema=SHORTFALL, orient="row"
    )


def _by_day(short):
    """Sum the shortfall of parts."""
    every = pl.concat(short).group_by("tenant", "date").agg(pl.col("shortfall").sum())
    return every.sort("date", "tenant")


def negatives_of(events, versions, config, days=None, cuts=()):
    """Return the negatives as `SampleKeys` types them, and the shortfall by (tenant, date)."""
    schema = frame_schema(SampleKeys)
    rows = [pl.DataFrame(schema={name: schema[name] for name in NEGATIVE_COLUMNS})]
    short = [pl.DataFrame(schema=SHORTFALL)]
    for tenant, own, listed in tenants(events, versions):
        if tenant not in config:
            continue
        for one, held in passes(own, cuts):
            items = KnownItems.of(one, listed)
            wanted = held if days is None else [day for day in held if day in days]
            chosen = positives(one, config[tenant], wanted)
            for drawn in negatives(chosen, one, items, tenant, config[tenant]):
                source = drawn.events[drawn.positive]
                day = EPOCH + timedelta(days=drawn.day)
                named = pl.DataFrame(
                    {
                        "tenant": [tenant] * len(source),
                        "date": [day] * len(source),
                        "user_id": one.users.ids.gather(one.users.codes[source]),
                        "item_id": items.ids.gather(drawn.item),
                        "timestamp": one.times[source],
                        "negative_source": [NEGATIVE_SOURCES[number] for number in drawn.source],
                        "sampling_probability": drawn.sampling_probability,
                        "conditional_probability": drawn.conditional_probability,
                    }
                )
                rows.append(named.cast(rows[0].schema))
                short.append(short_frame(tenant, {day: drawn.shortfall}))
    order = ["date", "tenant"]
    return (
        pl.concat(rows).sort(order, maintain_order=True),
        _by_day(short),
    )


def samples_of(events, versions, config, days, columns, cuts=()):
    """Return the samples of some days and their shortfall by (tenant, date)."""
    schema = frame_schema(TrainingSample)
    rows = [pl.DataFrame(schema={name: schema[name] for name in (*SAMPLE_KEYS, *columns)})]
    short = [pl.DataFrame(schema=SHORTFALL)]
    for tenant, own, listed in tenants(events, versions):
        if tenant not in config:
            continue
        for one, held in passes(own, cuts):
            wanted = [day for day in held if day in days]
            parts = training_samples(
                one, tenant, listed, wanted, config[tenant], columns, world.WEIGHTS
            )
            for drawn in parts:
                assert drawn.rows["date"].unique().to_list() == [drawn.day]
                rows.append(drawn.rows)
                short.append(short_frame(tenant, {drawn.day: drawn.shortfall}))
    order = ["date", "tenant"]
    return (
        pl.concat(rows).sort(order, maintain_order=True),
        _by_day(short),
    )
