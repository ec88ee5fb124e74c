"""Mappings: how a file's columns, words and times become the fields of a contract.

A mapping is a small TOML file, or the name of a built-in one. `docs/mappings.md` describes it.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import tomllib
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from recsys_pipeline.errors import MappingError
from recsys_pipeline.ingestion.mapping_keys import check_keys, line_of, nearest
from recsys_pipeline.ingestion.times import TIME_FORMS, usable_form
from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import frame_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Kind = Literal["interactions", "items"]
KINDS: tuple[Kind, ...] = ("interactions", "items")

FIELDS: dict[Kind, tuple[str, ...]] = {
    "interactions": tuple(c for c in frame_schema(Interaction) if c not in ("date", "tenant")),
    "items": tuple(c for c in frame_schema(Item) if c not in ("date", "tenant")),
}
ALL_FIELDS = tuple(dict.fromkeys(FIELDS["interactions"] + FIELDS["items"]))
DEFAULT_NAME = "default"

_REQUIRED: dict[Kind, tuple[tuple[str, ...], ...]] = {
    # each group: one of these must be in the file or a constant
    "interactions": (("user_id",), ("item_id",), ("interaction_type", "rating"), ("timestamp",)),
    "items": (("item_id",), ("title",), ("category",)),
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Format(_Table):
    """How the text of a file is cut into fields."""

    delimiter: str | None = Field(None, min_length=1, max_length=4)
    quote: str = Field('"', max_length=1)
    header: bool = True
    columns: tuple[str, ...] | None = None
    encoding: str = "utf-8"

    @field_validator("delimiter", "quote")
    @classmethod
    def _one_byte(cls, value: str | None) -> str | None:
        if value and (not value.isascii() or set(value) & set("\r\n")):
            raise ValueError("must be ASCII, not a line break")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codecs.getincrementaldecoder(value)
            "".encode(value)
        except (LookupError, TypeError):
            raise ValueError("is no text encoding that Python knows, e.g. latin-1") from None
        return codecs.lookup(value).name

    @model_validator(mode="after")
    def _names_or_header(self) -> Format:
        if not self.header and not self.columns:
            raise ValueError("header = false needs columns = [names in order]")
        if self.header and self.columns:
            raise ValueError(
                "columns names the fields of a file without header: add header = false"
            )
        if self.columns and len(set(self.columns)) < len(self.columns):
            raise ValueError("columns has a name twice")
        if self.delimiter and len(self.delimiter) > 1 and self.quote:
            raise ValueError('a delimiter of several characters goes with quote = ""')
        if self.quote and self.quote == self.delimiter:
            raise ValueError("quote and delimiter are the same character")
        return self


class TimeForm(_Table):
    """How times are written; `form` is one of `TIME_FORMS` or a strptime string."""

    form: str = "auto"
    timezone: str = "UTC"

    @field_validator("form")
    @classmethod
    def _known_form(cls, value: str) -> str:
        if value in TIME_FORMS:
            return value
        if "%" not in value:
            raise ValueError(f"must be one of {', '.join(TIME_FORMS)}, or a strptime string")
        return usable_form(value)

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("is no time zone name, e.g. Europe/Berlin") from None
        return value


class Ratings(_Table):
    """What a rating without an event type means."""

    like_threshold: float = 4.0


class _Tables(_Table):
    columns: dict[str, str] = {}
    constants: dict[str, str | bool | int | float] = {}
    first_of: dict[str, str] = {}
    first_flag: dict[str, tuple[str, ...]] = {}
    format: Format = Format()
    event_types: dict[str, str] = {}
    timestamp: TimeForm = TimeForm()
    ratings: Ratings = Ratings()

    @model_validator(mode="after")
    def _one_origin(self) -> _Tables:
        origins = ("columns", "constants", "first_flag")
        for one, other in combinations(origins, 2):
            both = sorted(set(getattr(self, one)) & set(getattr(self, other)))
            if both:
                raise ValueError(f"{both[0]} is both in {one} and in {other}")
        return self


class _File(_Tables):
    interactions: _Tables | None = None
    items: _Tables | None = None


class Mapping(_Tables):
    """A mapping as it holds for one kind.

    Attributes:
        name: Built-in name or file, for messages.
        kind: `interactions` or `items`.
        columns: Field of the contract to the file's column; others keep their own name.
        constants: Field of the contract to a value for every row.
        first_of: Field to a separator: only the part before its first occurrence is taken.
        first_flag: Field to columns: it is the name of the first of them that has a 1.
        event_types: The file's word to an interaction type; other words stay as they are.
    """

    name: str
    kind: Kind

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the contract that a row can have."""
        return FIELDS[self.kind]

    def fingerprint(self) -> str:
        """Return a hash of everything that changes what a file becomes."""
        # what is not used counts for nothing: files keep the keys that they had before it existed
        unused = {"first_flag"} if not self.first_flag else set()
        text = self.model_dump_json(exclude={"name", *unused})
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def locate(self, found: Collection[str]) -> dict[str, str]:
        """Return the column of each field that the file has.

        Args:
            found: Names of the file's columns.
        """
        taken = set(self.columns.values())
        located = {}
        for field in self.fields:
            name = self.columns.get(field, field)
            if field in self.constants or field in self.first_flag or name not in found:
                continue
            if field in self.columns or name not in taken:
                located[field] = name
        return located

    def check_columns(self, found: Sequence[str], source: str, *, complete: bool) -> None:
        """Check that a file has what the mapping and the contract need.

        Args:
            found: Names of the file's columns.
            source: The file, for the message.
            complete: True where an absent name is absent from every row (CSV, Parquet).

        Raises:
            MappingError: Listing the columns that were found.
        """
        located = self.locate(found)
        listing = f"it has {', '.join(map(repr, found[:30]))}" + (", …" if len(found) > 30 else "")
        if complete:
            for field, name in self.columns.items():
                if field in self.fields and field not in located:
                    raise MappingError(
                        source,
                        f"has no column {name!r}, which mapping {self.name} reads as {field} ({listing})",
                        f"Name the right column in [columns] {field}",
                    )
        known = {*located, *self.constants}
        for field, flags in self.first_flag.items():
            missing = sorted(set(flags) - set(found))
            if missing and complete and field in self.fields:
                raise MappingError(
                    source,
                    f"has no column {missing[0]!r}, a flag of {field} in mapping {self.name} ({listing})",
                    f"Name the right columns in [first_flag] {field}",
                )
            known.add(field)
        for group in _REQUIRED[self.kind]:
            if not known.intersection(group):
                raise MappingError(
                    source,
                    f"has no column for {' or '.join(group)} under mapping {self.name} ({listing})",
                    f'Give --mapping a TOML file with [columns] {group[0]} = "THEIR NAME", '
                    f"or one of {', '.join(builtin_names())}",
                )


def builtin_names() -> list[str]:
    """Return the names of the built-in mappings."""
    folder = resources.files(__package__) / "mappings"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_mapping(name: str | None, kind: Kind) -> Mapping:
    """Read a mapping for a kind.

    Args:
        name: A built-in name, a TOML file, or None: columns named as the contract, times in
            ISO 8601 or epoch seconds, milliseconds or microseconds.
        kind: `interactions` or `items`.

    Raises:
        MappingError: The name is neither; the file is not TOML; or a key or value is wrong. The
            culprit names the file and the line.
    """
    if name is None or name == DEFAULT_NAME:
        return Mapping(name=DEFAULT_NAME, kind=kind)
    if name in builtin_names():
        text = (resources.files(__package__) / "mappings" / f"{name}.toml").read_text("utf-8")
    else:
        text = _read(name)
    return parse_mapping(text, name, kind)


def parse_mapping(text: str, name: str, kind: Kind) -> Mapping:
    """Parse the text of a mapping; see `load_mapping`.

    Raises:
        MappingError: The text is not TOML, or a key or value is wrong.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = int(line[1]) if line else text.count("\n") + 1
        raise MappingError(f"{name} line {where}", f"is not TOML ({error})", "Mend it") from None
    check_keys(document, _allowed_keys(), text, name)
    try:
        file = _File.model_validate(document)
        own = getattr(file, kind)
        tables = {t: getattr(file, t) for t in _Tables.model_fields}
        if own is not None:
            tables |= {t: getattr(own, t) for t in own.model_fields_set}
        return Mapping(name=name, kind=kind, **tables)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(str(part) for part in first["loc"] if str(part) in _words(document))
        raise MappingError(
            f"{name} line {line_of(text, place)}, {'.'.join(place) or 'mapping'}",
            f"{_short(first['input'])}{first['msg'].removeprefix('Value error, ')}",
            "See docs/mappings.md",
        ) from None


def _short(value: object) -> str:
    return f"{value!r}: " if isinstance(value, str | int | float | bool) else ""


def _words(document: dict[str, Any]) -> set[str]:
    found = set(document)
    for value in document.values():
        if isinstance(value, dict):
            found |= _words(value)
    return found


def _read(name: str) -> str:
    path = Path(name)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, OSError) as error:
        if path.suffix == ".toml" or "/" in name or not isinstance(error, FileNotFoundError):
            reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else ""
            raise MappingError(
                f"mapping {name!r}", f"can't be read: {reason}", "Give the path of a TOML file"
            ) from None
        raise MappingError(
            f"mapping {name!r}",
            "is neither a built-in mapping nor a file",
            f"{nearest(name, builtin_names())}Use one of {', '.join(builtin_names())}",
        ) from None
    except UnicodeDecodeError:
        raise MappingError(f"mapping {name!r}", "is not UTF-8 text", "Save it as UTF-8") from None


def _allowed_keys() -> dict[str, Any]:
    def tables(fields: Collection[str]) -> dict[str, Any]:
        return {
            "columns": fields,
            "constants": fields,
            "first_of": fields,
            "first_flag": fields,
            "format": list(Format.model_fields),
            "event_types": None,
            "timestamp": list(TimeForm.model_fields),
            "ratings": list(Ratings.model_fields),
        }

    return tables(ALL_FIELDS) | {kind: tables(FIELDS[kind]) for kind in KINDS}
