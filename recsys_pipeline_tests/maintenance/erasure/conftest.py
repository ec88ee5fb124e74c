"""A root in which a user is in every layer."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from recsys_pipeline.engines.release import make_release
from recsys_pipeline.engines.release_spec import ReleaseSpec
from recsys_pipeline.schemas.landing import LINE_READABLE, LandedInteraction
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.conformance.conftest import s3_bucket  # noqa: F401  # the fixture
from recsys_pipeline_tests.landed import (
    START,
    all_days,
    event,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
    view_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from recsys_pipeline.settings import Settings

USER = "user-of-7.no"
DAYS = 6
SPEC = ReleaseSpec(
    "acme",
    START,
    START + timedelta(days=DAYS - 1),
    validation_days=1,
    test_days=1,
    shard_rows=60,
    sequence_length=3,
)


def events() -> list[dict]:
    """Return events of many users; some of them are of `USER`: valid, repeated, rejected, unreadable."""
    rows = random_events(3, 300, DAYS)
    for day in (0, 2, 4, 5):
        rows += [event(day=day, seconds=n, user=USER, item=f"i{n}", kind="click") for n in range(4)]
        rows.append(dict(rows[-1]))
    rows.append(event(day=2, user=USER, item="i2", kind="wink"))
    rows.append(event(day=1, user="u1", item="i3", kind="view", context=json.dumps({"page": "x"})))
    unreadable = event(day=3, user=None, item=None, kind=None, timestamp=None, parked=True)
    for text in (f'{{"user_id": "{USER}", "item', f"{USER};i1;view", "u5,i9,view"):
        rows.append(unreadable | {"problem": LINE_READABLE, "raw": text})
    # another's id that begins as this one, and the same id of another tenant
    rows.append(event(day=2, user=f"{USER}x", item="i1", kind="like"))
    rows.append(event("beta", 2, user=USER, item="i1", kind="like"))
    return rows


def land_parts(root, rows: list[dict], parts: int = 9) -> None:
    """Land rows as several batches of each tenant, each row under the position that it has among all."""
    schema = dict(frame_schema(LandedInteraction))
    for number in range(parts):
        for tenant in ("acme", "beta"):
            part = [
                row | {"batch_id": f"{tenant}-{number}", "position": at}
                for at, row in enumerate(rows, start=1)
                if row["tenant"] == tenant and at % parts == number
            ]
            frame = pl.DataFrame(part, schema=schema)
            Landing(str(root), "interactions").append(
                [frame], tenant=tenant, key=f"k{number}", sequence=1
            )


@dataclass(frozen=True)
class Filled:
    """A root, and its release."""

    root: str
    settings: Settings
    release: str


def fill(root: str, folder: Path, rows: list[dict]) -> Filled:
    """Land rows and make all that is made of them; `folder` is for the metadata database."""
    settings = settings_for(root, state_rows=1, metadata_url=f"sqlite:///{folder}/metadata.db")
    land_parts(root, rows)
    land(root, [item_version(item=f"i{n}") for n in range(14)], "items", "items")
    run_days(settings, all_days(DAYS))
    made = make_release(view_of(settings, ["acme"]), SPEC)
    return Filled(root, settings, made.manifest.release)


@pytest.fixture
def filled(request, tmp_path) -> Filled:
    """The landing of `events`, compacted, and all that is made of it; on S3 where it is asked for."""
    root = str(tmp_path / "data")
    if getattr(request, "param", "local") == "s3":
        root = f"{request.getfixturevalue('s3_bucket')}/{uuid.uuid4().hex}"
    made = fill(root, tmp_path, events())
    Landing(root, "interactions").compact()
    return made
