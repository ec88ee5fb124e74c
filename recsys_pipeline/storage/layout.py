"""Every path below the storage root.

Data is `<asset>/date=2025-01-31/tenant=acme/part-0.parquet`, which Polars, DuckDB, Spark and
Trino read as hive partitions. What is not data (records, locks, batches) is below `_meta/`.
"""

from __future__ import annotations

import re
from datetime import date

from recsys_pipeline.tenants import check_name

_DATA_FILE = re.compile(r"[^/]+/date=(\d{4}-\d\d-\d\d)/tenant=([a-z][a-z0-9_-]*)/part-0\.parquet")

META = "_meta"
TEMPORARY = f"{META}/unfinished"
LOCK_SLOTS = 256


def data_file(asset: str, day: date, tenant: str) -> str:
    """Return the path of a tenant's rows of a day.

    Raises:
        TenantError: The tenant's name could lead out of its folder.
    """
    return f"{asset}/date={day.isoformat()}/tenant={check_name(tenant)}/part-0.parquet"


def data_partition(path: str) -> tuple[date, str] | None:
    """Return the day and tenant of a data file's path, or None for any other path."""
    found = _DATA_FILE.fullmatch(path)
    return (date.fromisoformat(found[1]), found[2]) if found else None


PUBLISHED = f"{META}/published/"


def record_file(asset: str, day: date) -> str:
    """Return the path of what is recorded of an asset's day."""
    return f"{PUBLISHED}{asset}/{day.year}/{day.isoformat()}.json"


def records_prefix(asset: str) -> str:
    """Return the folder of an asset's records."""
    return f"{PUBLISHED}{asset}/"


ACCEPTED = f"{META}/accepted/"


def acceptance_file(asset: str, day: str, tenant: str, at: str) -> str:
    """Return the path of one acceptance of a held day; acceptances are kept, not replaced."""
    return f"{ACCEPTED}{asset}/{check_name(tenant)}/{day}/{at}.json"


NOTICES = f"{META}/notices/"
NOTICES_SENDING = f"{META}/notices_sending.json"


def notice_file(asset: str, day: date, tenant: str, inputs: str) -> str:
    """Return the path of the notice that is owed of a publication."""
    return f"{NOTICES}{asset}/{day.isoformat()}/{check_name(tenant)}/{inputs}.json"


BATCHES = "batches"


def batch_notice_file(kind: str, tenant: str, batch_id: str, token: str) -> str:
    """Return the path of the notice that is owed of a batch; `token` is who owes it."""
    return f"{NOTICES}{BATCHES}/{kind}/{check_name(tenant)}/{batch_id}.{token}.json"


RELEASED = "releases"
WEBHOOKS = f"{META}/webhooks/"


def release_notice_file(tenant: str, release: str, token: str) -> str:
    """Return the path of the notice that is owed of a release; `token` is who owes it."""
    return f"{NOTICES}{RELEASED}/all/{check_name(tenant)}/{release}.{token}.json"


def webhook_file(tenant: str, release: str, token: str) -> str:
    """Return the path of the call that is owed of a release; `token` is who owes it."""
    return f"{WEBHOOKS}{check_name(tenant)}/{release}.{token}.json"


ALERTS_OPEN = f"{META}/alerts/open/"
ALERTS_OUTBOX = f"{META}/alerts/outbox/"


def alert_file(kind: str, asset: str, tenant: str) -> str:
    """Return the path of what is known of a trouble; without a tenant it is everybody's."""
    return f"{ALERTS_OPEN}{kind}/{asset}/{check_name(tenant) if tenant else '_all'}.json"


def alert_message_file(message: str) -> str:
    """Return the path of a message to the operator that is owed."""
    return f"{ALERTS_OUTBOX}{message}.json"


ERASURES = f"{META}/erasures/"
ERASED = f"{ERASURES}erased.json"


RECEIPTS = f"{ERASURES}receipts/"


def receipt_file(tenant: str, receipt: str) -> str:
    """Return the path of the receipt of an erasure."""
    return f"{RECEIPTS}{check_name(tenant)}/{receipt}.json"


REPLACED = f"{ERASURES}replaced/"


def replaced_file(tenant: str, release: str) -> str:
    """Return the path of the note that a release was replaced because of an erasure."""
    return f"{REPLACED}{check_name(tenant)}/{release}.json"


def pinned_file(tenant: str, release: str) -> str:
    """Return the path of the note that a release is kept whatever its age."""
    return f"{META}/pinned/{check_name(tenant)}/{release}.json"


HORIZONS = f"{META}/horizons.json"


def sealed_prefix(tenant: str) -> str:
    """Return what the paths of a tenant's sealed states begin with."""
    return f"{META}/sealed/{check_name(tenant)}/"


def sealed_file(tenant: str, day: date, content: str) -> str:
    """Return the path of the state that is left of a tenant's events up to a day."""
    return f"{sealed_prefix(tenant)}{day.isoformat()}-{content}.arrow"


STATES = f"{META}/state/"
_STATE_FILE = re.compile(r"_meta/state/[^/]+/(\d{4}-\d\d-\d\d)-([0-9a-f]+)\.arrow")


def states_prefix(tenant: str) -> str:
    """Return the folder of a tenant's states."""
    return f"{STATES}{check_name(tenant)}/"


def state_file(tenant: str, day: date, content: str) -> str:
    """Return the path of the state after a day; `content` is the hash of what it was made from."""
    return f"{states_prefix(tenant)}{day.isoformat()}-{content}.arrow"


def state_of(path: str) -> tuple[date, str] | None:
    """Return day and content hash of a state's path, or None for any other path."""
    found = _STATE_FILE.fullmatch(path)
    return (date.fromisoformat(found[1]), found[2]) if found else None


RELEASES = "training_dataset/"
_RELEASE_FILE = re.compile(r"training_dataset/tenant=([a-z][a-z0-9_-]*)/release=([0-9a-f]+)/(.+)")
MANIFEST = "manifest.json"


def releases_prefix(tenant: str) -> str:
    """Return the folder of a tenant's releases."""
    return f"{RELEASES}tenant={check_name(tenant)}/"


def release_file(tenant: str, release: str, path: str) -> str:
    """Return the path of a file of a release, given its path inside it."""
    return f"{releases_prefix(tenant)}release={release}/{path}"


def release_of(path: str) -> tuple[str, str, str] | None:
    """Return tenant, release and path inside it of a release's file, or None for any other path."""
    found = _RELEASE_FILE.fullmatch(path)
    return (found[1], found[2], found[3]) if found else None


def shard_file(split: str, number: int) -> str:
    """Return the path, inside a release, of a shard of a split (folder of its fold included)."""
    return f"{split}/part-{number:05d}.parquet"
