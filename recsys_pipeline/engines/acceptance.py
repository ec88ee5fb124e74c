"""An operator's acceptance of a held day: what share of rejected rows was looked at and let by.

The acceptance raises that day's limit to the share at which it was given, so that a later upload
of worse rows holds the day again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

from recsys_pipeline.storage.layout import ACCEPTED, acceptance_file

if TYPE_CHECKING:
    from recsys_pipeline.storage.objects import ObjectStore


@dataclass(frozen=True)
class Acceptance:
    """One accepted (asset, day, tenant).

    Attributes:
        share: Rejected share up to which the day is let by.
        by: Who accepted.
        at: ISO 8601 UTC time of the acceptance.
        reason: Why, in the operator's words.
    """

    asset: str
    date: str
    tenant: str
    share: float
    by: str
    at: str
    reason: str


def accept(objects: ObjectStore, acceptance: Acceptance) -> None:
    """Store an acceptance. Earlier ones stay as the record of who let what by."""
    path = acceptance_file(acceptance.asset, acceptance.date, acceptance.tenant, acceptance.at)
    objects.write(path, json.dumps(asdict(acceptance)).encode())


def accepted_shares(objects: ObjectStore) -> dict[tuple[str, date, str], float]:
    """Return the latest accepted share of every accepted (asset, day, tenant)."""
    found: dict[tuple[str, date, str], float] = {}
    for path in sorted(objects.list(ACCEPTED)):  # a path ends with its time
        data = objects.read(path)
        if data is not None:
            entry = Acceptance(**json.loads(data))
            found[entry.asset, date.fromisoformat(entry.date), entry.tenant] = entry.share
    return found
