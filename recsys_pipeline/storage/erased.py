"""Who has been erased, remembered by keyed hashes of their ids, so that they can't come back.

One object, `_meta/erasures/erased.json`, holds the key and the hashes of all tenants: what lands reads it
with one request. Without the key no hash can be compared with another store's.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys_pipeline.errors import StorageError
from recsys_pipeline.storage.layout import ERASED
from recsys_pipeline.storage.named import stands_in, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_pipeline.storage.objects import ObjectStore

VERSION = 1


@dataclass(frozen=True, order=True)
class Subject:
    """One who was erased, or one of whose items was; ids are keyed hashes.

    Attributes:
        user: Hash of the user id.
        item: Hash of the item id where only the events of that item were erased, else None.
    """

    user: str
    item: str | None = None


@dataclass(frozen=True)
class Subjects:
    """The erased of one tenant.

    Attributes:
        tenant: The tenant.
        key: The key of the hashes.
        erased: The erased.
        plain: Ids (user, item) where they are known, as in the command that erases; they are looked for
            instead of the hash of each id, and in any place of a text.
    """

    tenant: str
    key: bytes
    erased: frozenset[Subject]
    plain: frozenset[tuple[str, str | None]] = frozenset()

    @classmethod
    def of_ids(cls, tenant: str, key: bytes, ids: frozenset[tuple[str, str | None]]) -> Subjects:
        """Return subjects whose ids are known."""
        return cls(tenant, key, frozenset(subject_of(tenant, key, *one) for one in ids), ids)

    def wholly(self) -> Subjects:
        """Return those of them of whom everything was erased."""
        erased = frozenset(one for one in self.erased if one.item is None)
        plain = frozenset(one for one in self.plain if one[1] is None)
        return replace(self, erased=erased, plain=plain)

    def rows(self, rows: pl.DataFrame, *, whole: bool = False) -> pl.Series:
        """Say of each row whether it is theirs.

        Args:
            rows: Columns `user_id`, and `item_id` unless `whole`; with `raw`, rows without a user are theirs
                when their text names one.
            whole: Of whom an item was erased, every row is theirs.

        Returns:
            Boolean, without nulls.
        """
        ids = rows["user_id"]
        theirs = pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003  # a value
        for users, item in self._found(ids, whole=whole):
            match = ids.is_in(users).fill_null(False)  # noqa: FBT003  # a value
            if item is not None:
                match &= self._are_item(rows["item_id"].set(~match, None), item)
            theirs |= match
        if "raw" in rows.columns:
            theirs |= self._named(rows)
        return theirs

    def ids(self, ids: pl.Series) -> list[str]:
        """Return those of some user ids (String) who were erased, wholly or an item of whom was."""
        sought = {user for users, _ in self._found(ids, whole=True) for user in users}
        return sorted(ids.filter(ids.is_in(sorted(sought))).unique()) if sought else []

    def are_named(self, text: str) -> bool:
        """Say whether a text names one of them (and the item, where it is about one)."""
        return any(
            one.user in names and (one.item is None or one.item in names)
            for names in [set(self._hashes(text))]
            for one in self.erased
        ) or any(
            stands_in(user, text) and (item is None or stands_in(item, text))
            for user, item in self.plain
        )

    def _found(self, ids: pl.Series, *, whole: bool) -> Iterator[tuple[list[str], str | None]]:
        """Yield the users of a column who were erased, by the item that they were erased for."""
        by_hash: dict[str, str] = {}
        if self.plain:
            by_hash = {digest(self.key, self.tenant, "user", user): user for user, _ in self.plain}
        else:
            for user in ids.drop_nulls().unique():
                by_hash[digest(self.key, self.tenant, "user", user)] = user
        items = {None if whole else one.item for one in self.erased}
        for item in sorted(items, key=str):
            users = {one.user for one in self.erased if whole or one.item == item}
            found = [by_hash[user] for user in users if user in by_hash]
            if found:
                yield sorted(found), item

    def _are_item(self, ids: pl.Series, item: str) -> pl.Series:
        matching = [
            one
            for one in ids.drop_nulls().unique()
            if digest(self.key, self.tenant, "item", one) == item
        ]
        return ids.is_in(matching).fill_null(False)  # noqa: FBT003  # a value

    def _named(self, rows: pl.DataFrame) -> pl.Series:
        texts = rows["raw"].set(rows["user_id"].is_not_null(), None)
        named = [one for one in texts.drop_nulls().unique() if self.are_named(one)]
        return texts.is_in(named).fill_null(False)  # noqa: FBT003  # a value

    def _hashes(self, text: str) -> Iterator[str]:
        for word in words(text):
            for kind in ("user", "item"):
                yield digest(self.key, self.tenant, kind, word)


@dataclass(frozen=True)
class Erased:
    """What is remembered of all tenants.

    Attributes:
        key: The key of the hashes; empty where nobody was ever erased.
        tenants: The erased, and when each was, ISO 8601 UTC.
    """

    key: bytes = b""
    tenants: dict[str, dict[Subject, str]] = field(default_factory=dict)

    def of(self, tenant: str) -> Subjects | None:
        """Return a tenant's erased, None where it has none."""
        found = self.tenants.get(tenant)
        return Subjects(tenant, self.key, frozenset(found)) if found else None


def digest(key: bytes, tenant: str, kind: str, value: str) -> str:
    """Return the keyed hash of an id of a tenant: BLAKE2b, 32 hexadecimal digits."""
    message = f"{tenant}\0{kind}\0{value}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(message, key=key, digest_size=16).hexdigest()


def subject_of(tenant: str, key: bytes, user: str, item: str | None) -> Subject:
    """Return who is meant by an id, or by a user's and an item's."""
    hashed = None if item is None else digest(key, tenant, "item", item)
    return Subject(digest(key, tenant, "user", user), hashed)


def read_erased(objects: ObjectStore) -> Erased:
    """Read who was erased.

    Raises:
        StorageError: What is stored can't be read: landing on would bring them back.
    """
    data = objects.read(ERASED)
    if data is None:
        return Erased()
    try:
        found = json.loads(data)
        version = found["version"]
        erased = Erased(
            bytes.fromhex(found["key"]),
            {
                tenant: {Subject(one["user"], one["item"]): one["at"] for one in subjects}
                for tenant, subjects in found["tenants"].items()
            },
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            objects.uri(ERASED), f"can't be read ({error!r})", "Restore it from a backup"
        ) from None
    if version != VERSION:
        raise StorageError(objects.uri(ERASED), f"is of version {version}", "Use a newer release")
    return erased


def remember(
    objects: ObjectStore, tenant: str, ids: frozenset[tuple[str, str | None]], at: str
) -> Subjects:
    """Remember ids as erased, for ever; those that are already stay as they are.

    Args:
        objects: The store.
        tenant: Whose users they are.
        ids: User ids, each with an item id where only its events are to go.
        at: ISO 8601 UTC time.

    Returns:
        Their subjects, ids included.
    """
    with objects.lock("erased") as lock:
        erased = read_erased(objects)
        if not erased.key:
            erased = replace(erased, key=secrets.token_bytes(32))
        subjects = Subjects.of_ids(tenant, erased.key, ids)
        known = erased.tenants.get(tenant, {})
        grown = {**dict.fromkeys(sorted(subjects.erased, key=str), at), **known}
        lock.confirm()
        objects.write(ERASED, _encode(replace(erased, tenants={**erased.tenants, tenant: grown})))
    return subjects


def _encode(erased: Erased) -> bytes:
    tenants: dict[str, Any] = {
        tenant: [
            {"user": one.user, "item": one.item, "at": at}
            for one, at in sorted(subjects.items(), key=lambda pair: (pair[1], str(pair[0])))
        ]
        for tenant, subjects in sorted(erased.tenants.items())
    }
    text = json.dumps({"version": VERSION, "key": erased.key.hex(), "tenants": tenants}, indent=1)
    return text.encode()
