"""What an operator is told of: a failed run, a held day. Told once, whoever sees it how often.

What is known of a trouble is one object per (kind, asset, tenant), which all processes share. The message
is owed before that object says that it was told: a crash between the two tells twice, with the same id,
and never not at all.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

from recsys_pipeline.observability.alerts import channels
from recsys_pipeline.observability.messages import Message, Owed
from recsys_pipeline.storage.layout import ALERTS_OPEN, alert_file, alert_message_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore

Kind = Literal["run_failed", "held"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LOCK = "alerts/open"
HOUR = 3600.0


@dataclass(frozen=True)
class Trouble:
    """What has gone wrong.

    Attributes:
        kind: What it is.
        asset: The table, or the step of a failed run.
        tenant: Whose; empty for everybody's.
        words: One sentence about it.
        command: What to run next.
        days: Its days, ISO 8601, in order; empty where it is of none.
        run: Dagster's id of the run that met it.
        job: The job of that run.
        topic: The topic that it was landing.
    """

    kind: Kind
    asset: str
    tenant: str
    words: str
    command: str
    days: tuple[str, ...] = ()
    run: str | None = None
    job: str | None = None
    topic: str | None = None


@dataclass(frozen=True)
class Known:
    """A trouble and what has become of it; times are seconds since 1970.

    Attributes:
        trouble: As it was seen last: what an earlier sighting said of other days is in `recsys status`.
        began_at: When it was first seen.
        seen_at: When it was last seen.
        times: How often it was seen.
        told_at: When a message was last owed of it; None where none was.
        ended_at: When it ended; None while it goes on.
    """

    trouble: Trouble
    began_at: float
    seen_at: float
    times: int
    told_at: float | None
    ended_at: float | None = None


def note(
    settings: Settings, objects: ObjectStore, trouble: Trouble, now: float | None = None
) -> bool:
    """Note a trouble that was seen, and owe a message unless it was told within the set time.

    Returns:
        Whether a message is owed of it.
    """
    now = time.time() if now is None else now
    path = alert_file(trouble.kind, trouble.asset, trouble.tenant)
    with objects.lock(LOCK):
        known = _read(objects, path)
        goes_on = known is not None and known.ended_at is None
        told_at = known.told_at if known else None
        is_recent = told_at is not None and now - told_at < settings.alert_repeat_hours * HOUR
        is_owed = bool(channels(settings)) and not is_recent
        seen = Known(
            trouble,
            began_at=known.began_at if known and goes_on else now,
            seen_at=now,
            times=known.times + 1 if known and goes_on else 1,
            told_at=now if is_owed else told_at,
        )
        if is_owed:
            _owe(settings, objects, seen, "firing", told_at, now)
        _write(objects, path, seen)
    return is_owed


def end(
    settings: Settings, objects: ObjectStore, trouble: Trouble, now: float | None = None
) -> bool:
    """Note that a trouble has ended, and owe a message where it was told.

    Returns:
        Whether a message is owed of it.
    """
    now = time.time() if now is None else now
    path = alert_file(trouble.kind, trouble.asset, trouble.tenant)
    with objects.lock(LOCK):
        known = _read(objects, path)
        if known is None or known.ended_at is not None:
            return False
        was_told = known.told_at is not None and known.told_at >= known.began_at
        is_owed = was_told and bool(channels(settings))
        if is_owed:
            _owe(settings, objects, known, "resolved", known.told_at, now)
        _write(
            objects,
            path,
            Known(known.trouble, known.began_at, known.seen_at, known.times, known.told_at, now),
        )
    return is_owed


def open_troubles(objects: ObjectStore, kind: Kind, asset: str | None = None) -> Iterator[Trouble]:
    """Yield the troubles of a kind, or of a kind and asset, that go on."""
    folder = f"{ALERTS_OPEN}{kind}/" + (f"{asset}/" if asset else "")
    for path in sorted(objects.list(folder)):
        known = _read(objects, path)
        if known is not None and known.ended_at is None:
            yield known.trouble


def _owe(
    settings: Settings,
    objects: ObjectStore,
    known: Known,
    state: Literal["firing", "resolved"],
    told_at: float | None,
    now: float,
) -> None:
    trouble = known.trouble
    # of what was told before: whoever goes on after a crash owes the same message
    of = f"{trouble.kind} {trouble.asset} {trouble.tenant} {state} {told_at}"
    message = hashlib.blake2b(of.encode(), digest_size=12).hexdigest()
    run = trouble.run
    told = Message(
        id=message,
        state=state,
        **asdict(trouble),
        began_at=known.began_at,
        times=known.times,
        url=f"{settings.ui_url.rstrip('/')}/runs/{run}" if settings.ui_url and run else None,
    )
    owed = Owed(at=now, channels=channels(settings), message=told)
    objects.write(alert_message_file(message), owed.model_dump_json().encode())


def _read(objects: ObjectStore, path: str) -> Known | None:
    data = objects.read(path)
    if data is None:
        return None
    try:
        found = json.loads(data)
        of = found.pop("trouble")
        return Known(Trouble(**{**of, "days": tuple(of["days"])}), **found)
    except (ValueError, KeyError, TypeError):
        return None  # of another version, or edited: it is told anew


def _write(objects: ObjectStore, path: str, known: Known) -> None:
    objects.write(path, json.dumps(asdict(known)).encode())
