"""Held days as troubles: one per table and tenant, which ends when no day of it is held."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recsys_pipeline.engines.view import QUARANTINED, VALIDATED
from recsys_pipeline.errors import RecsysError
from recsys_pipeline.observability.alerts import send_alerts
from recsys_pipeline.observability.troubles import Trouble, end, note, open_troubles

if TYPE_CHECKING:
    from datetime import date

    from recsys_pipeline.engines.view import View
    from recsys_pipeline.storage.landing import Kind

log = logging.getLogger(__name__)


def held_days(view: View, kind: Kind) -> dict[str, list[date]]:
    """Return the days of each tenant that are recorded as held, in order."""
    found: dict[str, list[date]] = {}
    asset = VALIDATED[kind]
    for day in view.published_days(asset):
        for tenant, record in sorted(view.records(asset, day).items()):
            if record.held:
                found.setdefault(tenant, []).append(day)
    return found


def tell_held(view: View, kind: Kind, run: str | None = None) -> None:
    """Note what is held and what is no more, and tell of it; who can't be told is told later.

    Args:
        view: The tables.
        kind: Events or items.
        run: Dagster's id of the run that has looked.
    """
    objects, asset = view.store.objects, VALIDATED[kind]
    held = held_days(view, kind)
    for tenant, days in held.items():
        option = f" --kind {kind}"
        note(
            view.settings,
            objects,
            Trouble(
                "held",
                asset,
                tenant,
                f"{len(days)} days of {tenant} publish nothing new: too many rows were rejected. Look "
                f"at {QUARANTINED[kind]}, then correct the upload or accept them",
                f"recsys quarantine accept --tenant {tenant} --date {days[0]}{option}",
                tuple(day.isoformat() for day in days),
                run,
            ),
        )
    for trouble in open_troubles(objects, "held", asset):
        if trouble.tenant not in held:
            end(view.settings, objects, trouble)
    try:
        send_alerts(view.settings, objects)
    except RecsysError as error:
        log.warning("the operator is told later: %s", error)
