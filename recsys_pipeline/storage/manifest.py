"""What a release says of itself: `manifest.json`."""

from __future__ import annotations

import hashlib
import json
from datetime import date  # noqa: TC003  # pydantic reads it
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from recsys_pipeline.errors import ReleaseError

# raise it when a reader of an older one would misread
MANIFEST_VERSION = 1
ID_BYTES = 8


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReleasedFile(_Part):
    """One file of a release.

    Attributes:
        path: Its path inside the release.
        blake2b: Hash of its bytes (16 bytes, hexadecimal).
        bytes: Its size.
        rows: Its rows.
    """

    path: str
    blake2b: str
    bytes: int
    rows: int


class Column(_Part):
    """A column of the shards: name, Polars dtype, and whether it may be null."""

    name: str
    dtype: str
    nullable: bool


class InputDay(_Part):
    """A published day of training samples that a release was made from.

    Attributes:
        content: Its data version: the hash of its file.
        rows: Its rows.
    """

    content: str
    rows: int


class FoldRows(_Part):
    """A fold: the days of its splits, and what was written of them.

    Attributes:
        name: Its folder; empty where a release has one fold.
        days: First and last day by split.
        rows: Rows by split, then by `positives` and `negatives`.
        left_out: Rows read that are in no split: negatives of held-out positives.
        vocabularies: Ids by vocabulary, erased ones included.
        cold: Rows with a cold user or item, by split.
    """

    name: str
    days: dict[str, tuple[date, date]]
    rows: dict[str, dict[str, int]]
    left_out: int
    vocabularies: dict[str, int]
    cold: dict[str, dict[str, int]]


class SplitOptions(_Part):
    """How rows were split."""

    kind: str
    validation_days: int | None = None
    test_days: int | None = None
    folds: int | None = None
    train_days: int | None = None
    evaluation_negatives: bool = False


class CheckResult(_Part):
    """A check that was made before the release was published; all of them passed."""

    name: str
    words: str


class Content(_Part):
    """All that the release id is a hash of: no time, place or machine.

    Attributes that don't tell themselves:
        history: Hash of all events up to the last day, where there are sequences of them.
        variants: Shares of the experiment's variants; empty without one.
    """

    manifest_version: int = MANIFEST_VERSION
    tenant: str
    first_day: date
    last_day: date
    split: SplitOptions
    seed: int
    shard_rows: int
    parent: str | None
    sequence_length: int
    history: str | None
    experiment: str | None
    variants: dict[str, float]
    folds: tuple[FoldRows, ...]
    columns: tuple[Column, ...]
    files: tuple[ReleasedFile, ...]
    inputs: dict[date, InputDay]
    settings: dict[str, Any]
    checks: tuple[CheckResult, ...]
    warnings: tuple[str, ...]
    code_versions: dict[str, str]
    package_version: str
    libraries: dict[str, str]

    @property
    def id(self) -> str:
        """Return the release id: the hash of this content, 16 hexadecimal digits."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=ID_BYTES).hexdigest()


class Making(_Part):
    """What is told of the making of a release, and is no part of its id.

    Attributes:
        at: ISO 8601 UTC time.
        recipe: Hash of what the release was asked to be and of its inputs: the same recipe gives the
            same release.
        landing: Landing versions that the run had pinned.
        replaces: The release that this one is without users who were erased.
    """

    at: str
    recipe: str
    landing: dict[str, int]
    replaces: str | None = None


class Manifest(_Part):
    """A release: its id, its content, and how it was made."""

    release: str
    content: Content
    made: Making

    def encode(self) -> bytes:
        """Return it as indented JSON."""
        return (self.model_dump_json(indent=1) + "\n").encode()

    def rows(self) -> dict[str, int]:
        """Return rows by split, with the folder of its fold."""
        return {
            split_folder(fold.name, split): counts["positives"] + counts["negatives"]
            for fold in self.content.folds
            for split, counts in fold.rows.items()
        }


def split_folder(fold: str, split: str) -> str:
    """Return the folder of a fold's split (or of anything of a fold) inside a release."""
    return f"{fold}/{split}" if fold else split


def decode(data: bytes, path: str) -> Manifest:
    """Read a manifest.

    Raises:
        ReleaseError: It is no manifest that this version reads, or its id is not the hash of what it
            says.
    """
    try:
        found = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReleaseError(
            path, f"is no manifest: {where} {first['msg']}", "Make the release again"
        ) from None
    if found.content.id != found.release:
        raise ReleaseError(
            path,
            f"was changed: it calls itself {found.release}, and its content is {found.content.id}",
            "Remove the folder and make the release again",
        )
    return found
