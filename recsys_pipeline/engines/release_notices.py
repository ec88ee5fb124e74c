"""What is owed of a release: a notice on the topic of training data, and a call of a webhook."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING

from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.storage.layout import release_file, release_notice_file, webhook_file
from recsys_pipeline.storage.releases import Releases

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings
    from recsys_pipeline.storage.objects import ObjectStore


class ReleaseOutbox:
    """Notes what is owed before a release is put in place, and forgets it where another was first.

    Args:
        settings: Whom to tell; nobody is told who is not configured.
        objects: The store.
    """

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._settings = settings
        self._objects = objects
        # two that make the same release at a time must not take each other's note away
        self._token = uuid.uuid4().hex

    def owe(self, tenant: str, release: str) -> None:
        """Note, before it is in place, that a release is to be told of."""
        for path in self._paths(tenant, release):
            body = json.dumps({"id": release, "at": time.time()})
            self._objects.write(path, body.encode())

    def drop(self, tenant: str, release: str) -> None:
        """Forget it: the release was there before."""
        for path in self._paths(tenant, release):
            self._objects.delete(path)

    def _paths(self, tenant: str, release: str) -> list[str]:
        paths = []
        if is_configured(self._settings):
            paths.append(release_notice_file(tenant, release, self._token))
        if self._settings.release_webhook_url:
            paths.append(webhook_file(tenant, release, self._token))
        return paths


def released_notice(objects: ObjectStore, tenant: str, release: str) -> dict[str, object] | None:
    """Return what is told of a release, None where it is not in place.

    Returns:
        `id` and `release` (its id), `asset`, `tenant`, `first_day`, `last_day`, `path`, `rows` by split,
        `parent` and `published_at`.
    """
    try:
        manifest = Releases(objects).get(release, tenant)
    except ReleaseError:
        return None
    content = manifest.content
    return {
        "id": release,
        "asset": "training_dataset",
        "release": release,
        "tenant": tenant,
        "first_day": content.first_day.isoformat(),
        "last_day": content.last_day.isoformat(),
        "path": objects.uri(release_file(tenant, release, "")).rstrip("/"),
        "rows": manifest.rows(),
        "parent": content.parent,
        "published_at": manifest.made.at,
    }
