"""Small worlds in which ties, repeats, gaps and several tenants are the rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.settings import INTERACTION_TYPES
from recsys_pipeline.transforms.sampling_config import SamplingConfig

START = date(2025, 1, 30)
DAYS = [START + timedelta(days=n) for n in range(6)]
TENANTS = ["acme", "beta"]
USERS = ["u1", "u2", "é"]
ITEMS = ["A", "a", "aa", "b", "ß", "z"]
WEIGHTS = {"view": 1, "click": 2, "like": 3, "add_to_cart": 4, "purchase": 5}

_TIMES = st.sampled_from(
    [timedelta(0), timedelta(hours=7), timedelta(hours=7, microseconds=1), timedelta(1, -1e-6)]
)


@st.composite
def _event(draw):
    day = draw(st.sampled_from(DAYS))
    return {
        "date": day,
        "tenant": draw(st.sampled_from(TENANTS)),
        "user_id": draw(st.sampled_from(USERS)),
        "item_id": draw(st.sampled_from(ITEMS)),
        "interaction_type": draw(st.sampled_from(INTERACTION_TYPES)),
        "timestamp": datetime(day.year, day.month, day.day, tzinfo=UTC) + draw(_TIMES),
        "rating": draw(st.sampled_from([None, 0.0, 0.29, 1.1, 3.33, 5.0])),
        "event_id": None,
        "context": None,
    }


@st.composite
def _version(draw):
    return {
        "date": draw(st.sampled_from(DAYS)),
        "tenant": draw(st.sampled_from(TENANTS)),
        "item_id": draw(st.sampled_from([*ITEMS, "only-listed", "zz"])),
        "title": draw(st.sampled_from(["one", "two"])),
        "category": draw(st.sampled_from(["Audio", "Gaming"])),
        "price": draw(st.sampled_from([None, 1.5, 20.0])),
        "brand": draw(st.sampled_from([None, "B"])),
        "updated_at": draw(st.sampled_from([None, datetime(2025, 1, 30, 5, tzinfo=UTC)])),
        "description": None,
        "available": draw(st.booleans()),
        "attributes": None,
    }


def events(max_size=40):
    return st.lists(_event(), max_size=max_size)


def versions(max_size=15):
    return st.lists(_version(), max_size=max_size)


def day_versions(max_size=15):
    """Versions as the contract has them: one per (tenant, item, day)."""
    return st.lists(
        _version(), max_size=max_size, unique_by=lambda v: (v["tenant"], v["item_id"], v["date"])
    )


PLAIN = ("uniform", "popularity")
SOURCES = (*PLAIN, "category", "viewed")


def _mix(config):
    """Give a `mixed` strategy weights, and no other; with `viewed`, no view is a positive."""
    weights = st.sampled_from([0.1, 1.0, 3.0, 1e-9])
    mixes = st.dictionaries(st.sampled_from(SOURCES), weights, min_size=1)
    if config.strategy == "viewed":
        return st.just(_no_view(config))
    if config.strategy != "mixed":
        return st.just(config)
    mixed = mixes.map(lambda mix: replace(config, mix=tuple(sorted(mix.items()))))
    return mixed.map(lambda one: _no_view(one) if "viewed" in dict(one.mix) else one)


def _no_view(config):
    """Leave views out of the positives, as the settings demand where `viewed` is drawn from."""
    types = tuple(word for word in config.positive_types if word != "view")
    return replace(config, positive_types=types or ("purchase",))


def configs(strategies=PLAIN):
    one = st.builds(
        SamplingConfig,
        seed=st.sampled_from([0, 7, 2**63 - 1]),
        ratio=st.integers(0, 3),
        strategy=st.sampled_from(strategies),
        alpha=st.sampled_from([0.0, 0.5, 0.75, 1.0, 2.0]),
        positive_types=st.lists(st.sampled_from(INTERACTION_TYPES), min_size=1, unique=True).map(
            tuple
        ),
        level=st.sampled_from(["user_item_day", "event"]),
    ).flatmap(_mix)
    return st.fixed_dictionaries({}, optional=dict.fromkeys(TENANTS, one))


def interaction_frame(rows) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=frame_schema(Interaction))


def item_frame(rows) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=frame_schema(Item))
