"""Notices of landed uploads."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from recsys_pipeline.ingestion.batches import tenant_batch
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.storage.layout import batch_notice_file

if TYPE_CHECKING:
    from recsys_pipeline.ingestion.batches import Batch
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore


@dataclass(frozen=True)
class BatchNotice:
    """What a reader of the topic learns of a landed upload.

    Attributes:
        id: Identity of the notice: the batch's.
        batch_id: Its batch.
        tenant: Whose rows.
        kind: `interactions` or `items`.
        days: Days touched, ISO 8601.
        rows: Rows landed, those that end in quarantine included.
        received_at: ISO 8601 UTC time.
    """

    id: str
    batch_id: str
    tenant: str
    kind: str
    days: tuple[str, ...]
    rows: int
    received_at: str


class BatchOutbox:
    """What one upload owes: noted before its batch lands, forgotten where it did not.

    Args:
        settings: Without brokers nothing is owed.
        objects: The store.
    """

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._is_on = is_configured(settings)
        self._objects = objects
        # two that land the same batch at a time must not take each other's note away
        self._token = uuid.uuid4().hex

    def owe(self, batch: Batch) -> None:
        """Note, before it lands, that a batch is to be announced."""
        if self._is_on:
            body = json.dumps({"id": batch.batch_id, "at": time.time()})
            self._objects.write(self._path(batch), body.encode())

    def drop(self, batch: Batch) -> None:
        """Forget a batch that did not land, or that another landed."""
        if self._is_on:
            self._objects.delete(self._path(batch))

    def _path(self, batch: Batch) -> str:
        return batch_notice_file(batch.kind, batch.tenant, batch.batch_id, self._token)


def landed_notice(settings: Settings, tenant: str, batch_id: str) -> dict[str, object] | None:
    """Return the notice of a batch, None where it has not landed."""
    known = tenant_batch(settings.storage_root, tenant, batch_id, start_date=settings.start_date)
    if known is None or known[0].state != "landed":
        return None
    batch, days = known[0].batch, known[1]
    notice = BatchNotice(
        id=batch_id,
        batch_id=batch.batch_id,
        tenant=tenant,
        kind=batch.kind,
        days=tuple(day.isoformat() for day in days),
        rows=batch.counts.landed if batch.counts else 0,
        received_at=batch.received_at.isoformat(),
    )
    return asdict(notice)
