"""Notices of published features and samples."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.storage.layout import data_file, notice_file
from recsys_pipeline.storage.records import Records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys_pipeline.engines.view import View
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore
    from recsys_pipeline.storage.records import Record


@dataclass(frozen=True)
class PublicationNotice:
    """What a reader of the topics learns of a publication.

    Attributes:
        id: Identity of the notice.
        asset: The table.
        partition: The day, ISO 8601.
        tenant: Whose rows.
        path: Address of the file; None where the tenant has no rows of that day any more.
        rows: Rows in it.
        data_version: Hash of the file's bytes.
        published_at: ISO 8601 UTC time.
    """

    id: str
    asset: str
    partition: str
    tenant: str
    path: str | None
    rows: int
    data_version: str
    published_at: str


def publication_topics(settings: Settings) -> dict[str, str]:
    """Return the topic of each table whose publications are announced."""
    return {
        "user_features": settings.kafka_features_topic,
        "item_features": settings.kafka_features_topic,
        "training_samples": settings.kafka_training_topic,
    }


def owe_notice(view: View, asset: str, day: date, tenant: str, inputs: str) -> None:
    """Note, before it is switched, that a publication is to be announced."""
    if not is_configured(view.settings) or asset not in publication_topics(view.settings):
        return
    body = {"id": uuid.uuid4().hex, "at": time.time()}
    path = notice_file(asset, day, tenant, inputs)
    view.store.objects.write(path, json.dumps(body).encode(), durable=False)


class Publications:
    """Looks up what is published; the records of a day are read once."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._records = Records(objects)
        self._days: dict[tuple[str, str], Mapping[str, Record]] = {}

    def notice(
        self, asset: str, day: str, tenant: str, inputs: str, notice_id: str
    ) -> dict[str, object] | None:
        """Return the notice of a publication, None where it is not in place."""
        if (asset, day) not in self._days:
            self._days[asset, day] = self._records.day(asset, date.fromisoformat(day)) or {}
        record = self._days[asset, day].get(tenant)
        if record is None or record.published_inputs != inputs:
            return None
        file = data_file(asset, date.fromisoformat(day), tenant)
        notice = PublicationNotice(
            id=notice_id,
            asset=asset,
            partition=day,
            tenant=tenant,
            path=self._objects.uri(file) if record.file else None,
            rows=record.rows,
            data_version=record.content,
            published_at=record.published_at,
        )
        return asdict(notice)
