"""Measures of what is kept beside the tables: releases, states, erasures, messages, alerts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from recsys_pipeline.maintenance.erasure.receipt import receipts
from recsys_pipeline.observability.families import (
    ERASURES,
    LAST_RELEASE,
    OLDEST_OWED_MESSAGE,
    OLDEST_UNSETTLED_ERASURE,
    OPEN_ALERTS,
    OWED_MESSAGES,
    RELEASES,
    STORED_BYTES,
    Measures,
    add,
    lower_to,
    raise_to,
)
from recsys_pipeline.storage.layout import (
    ALERTS_OPEN,
    ALERTS_OUTBOX,
    MANIFEST,
    NOTICES,
    STATES,
    WEBHOOKS,
    release_of,
)
from recsys_pipeline.storage.layout import RELEASES as RELEASES_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.storage.objects import Identity, ObjectStore

CHANNELS = {"notices": NOTICES, "webhook": WEBHOOKS, "alerts": ALERTS_OUTBOX}


class JsonObjects:
    """JSON objects; only those that have changed are read again. Not for several threads."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._read: dict[str, tuple[Identity, dict[str, Any]]] = {}

    def of(self, listed: dict[str, Identity]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield path and content of what was listed; {} for what is no JSON object or has gone."""
        before, self._read = self._read, {}
        for path, identity in listed.items():
            kept = before.get(path)
            if kept is None or kept[0] != identity:
                kept = identity, _decoded(self._objects.read(path))
            self._read[path] = kept
            yield path, kept[1]


def _decoded(data: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class StoredObjects:
    """Measures what a store keeps beside its tables."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        # each method is called by a thread of its own
        self._manifests = JsonObjects(objects)
        self._below = {prefix: JsonObjects(objects) for prefix in (*CHANNELS.values(), ALERTS_OPEN)}

    def _list(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return self._below[prefix].of(self._objects.list(prefix))

    def releases(self) -> Measures:
        """Return how many releases there are, their bytes, and when the latest was made."""
        found: Measures = {}
        manifests: dict[str, Identity] = {}
        for path, identity in self._objects.list(RELEASES_FOLDER).items():
            where = release_of(path)
            if where is None:
                continue
            add(found, STORED_BYTES, identity.size, "training_dataset", where[0])
            if where[2] == MANIFEST:
                manifests[path] = identity
        for path, manifest in self._manifests.of(manifests):
            where = release_of(path)
            at = manifest.get("made", {}).get("at")
            if where is not None and at is not None:
                add(found, RELEASES, 1, where[0])
                raise_to(found, LAST_RELEASE, datetime.fromisoformat(at).timestamp(), where[0])
        return found

    def states(self) -> Measures:
        """Return the bytes of each tenant's kept states."""
        found: Measures = {}
        for path, identity in self._objects.list(STATES).items():
            tenant = path.removeprefix(STATES).partition("/")[0]
            add(found, STORED_BYTES, identity.size, "state", tenant)
        return found

    def erasures(self) -> Measures:
        """Return erasures by state.

        Raises:
            StorageError: A receipt can't be read.
        """
        found: Measures = {}
        for receipt in receipts(self._objects):
            add(found, ERASURES, 1, receipt.tenant, receipt.state)
            if receipt.settled_at is None:
                at = datetime.fromisoformat(receipt.requested_at).timestamp()
                lower_to(found, OLDEST_UNSETTLED_ERASURE, at, receipt.tenant)
        return found

    def messages(self) -> Measures:
        """Return the messages that are owed."""
        found: Measures = {}
        for channel, prefix in CHANNELS.items():
            add(found, OWED_MESSAGES, 0, channel)
            for _, owed in self._list(prefix):
                add(found, OWED_MESSAGES, 1, channel)
                if isinstance(at := owed.get("at"), int | float):
                    lower_to(found, OLDEST_OWED_MESSAGE, at, channel)
        return found

    def alerts(self) -> Measures:
        """Return the troubles that have not ended."""
        found: Measures = {}
        for path, trouble in self._list(ALERTS_OPEN):
            kind, _, name = path.removeprefix(ALERTS_OPEN).split("/")
            tenant = name.removesuffix(".json").removeprefix("_all")
            # one that has ended stays as a 0, so that an alert of Prometheus ends with it
            add(found, OPEN_ALERTS, float(trouble.get("ended_at", 0) is None), kind, tenant)
        return found
