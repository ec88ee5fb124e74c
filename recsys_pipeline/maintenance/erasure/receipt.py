"""What was done to erase somebody: counts, hashes and times, and no id."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from recsys_pipeline.errors import StorageError
from recsys_pipeline.storage.layout import RECEIPTS, receipt_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys_pipeline.storage.objects import ObjectStore

STATEMENTS = (
    "Kafka topics keep messages until their own retention ends; what is read from them again lands empty.",
    "Backups of the store and of the databases, and files outside of the storage root, are not touched.",
    "Item features are sums over users: the next run makes them anew. Those of releases stay as they are.",
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(_Part):
    """What was done to one layer.

    Attributes:
        name: The layer.
        looked_at: Files or tables that were read.
        changed: Those that were written anew or deleted.
        rows: Rows removed.
        waiting: Files that can't be removed yet.
        content: Hash of the paths that were written anew and of the hashes of their bytes.
        note: What else is to be known.
    """

    name: str
    looked_at: int = 0
    changed: int = 0
    rows: int = 0
    waiting: int = 0
    content: str = ""
    note: str = ""


class Pass(_Part):
    """One go through all layers; `ended_at` is None while it is under way, or when it was killed."""

    began_at: str
    ended_at: str | None = None
    layers: tuple[Layer, ...] = ()

    @property
    def found(self) -> int:
        """Return how much there was to remove, or is yet."""
        return sum(layer.changed + layer.waiting for layer in self.layers)


class Receipt(_Part):
    """An erasure.

    Attributes:
        receipt: Its id.
        tenant: Whose users they are.
        subjects: Keyed hashes of the users, each with that of the item where it was about one.
        requested_at: ISO 8601 UTC time.
        passes: What was done, the latest last.
        settled_at: When a pass found nothing that began after the last writer that had not known of the
            erasure can have committed.
        statements: What it does not reach.
    """

    receipt: str
    tenant: str
    subjects: tuple[tuple[str, str | None], ...]
    requested_at: str
    passes: tuple[Pass, ...] = ()
    settled_at: str | None = None
    statements: tuple[str, ...] = STATEMENTS

    @property
    def state(self) -> str:
        """Return `settled`, `erased` (once through all layers) or `unfinished`."""
        if self.settled_at:
            return "settled"
        return "erased" if any(one.ended_at for one in self.passes) else "unfinished"

    @property
    def is_whole(self) -> bool:
        """Return whether a pass has ended."""
        return self.state != "unfinished"


def content_of(hashes: Iterable[tuple[str, str]]) -> str:
    """Return one hash of paths and the hashes of their bytes; empty for none."""
    made = hashlib.blake2b(digest_size=16)
    some = False
    for path, hashed in sorted(hashes):
        some = True
        made.update(f"{path} {hashed}\n".encode())
    return made.hexdigest() if some else ""


def save(objects: ObjectStore, receipt: Receipt) -> None:
    """Write a receipt, replacing what was there."""
    data = receipt.model_dump_json(indent=1) + "\n"
    objects.write(receipt_file(receipt.tenant, receipt.receipt), data.encode())


def receipts(objects: ObjectStore, tenant: str | None = None) -> list[Receipt]:
    """Return the receipts of all tenants or of one, the latest first.

    Raises:
        StorageError: One can't be read.
    """
    found: list[Receipt] = []
    for path in objects.list(RECEIPTS + (f"{tenant}/" if tenant else "")):
        data = objects.read(path)
        if data is None:
            continue
        try:
            found.append(Receipt.model_validate_json(data))
        except ValidationError as error:
            raise StorageError(
                objects.uri(path), f"is no receipt ({error.error_count()} faults)", "Restore it"
            ) from None
    return sorted(found, key=lambda one: (one.requested_at, one.receipt), reverse=True)
