"""Wrong keys of a mapping file: found, named with their line, and the nearest right one."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from recsys_pipeline.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Collection


def check_keys(
    found: dict[str, Any],
    allowed: dict[str, Any] | Collection[str],
    text: str,
    name: str,
    place: tuple[str, ...] = (),
) -> None:
    """Check that a document has known keys only.

    Args:
        found: The document, or a table in it.
        allowed: Its keys; a dict also says what may stand below each, None meaning anything.
        text: The file's text, to tell lines.
        name: The file, for the message.
        place: Keys that lead to this table.

    Raises:
        MappingError: Naming the line, the keys that are allowed there, and the nearest.
    """
    for key, value in found.items():
        here = (*place, key)
        culprit = f"{name} line {line_of(text, here)}"
        if key not in allowed:
            raise MappingError(
                culprit,
                f"has an unknown key {'.'.join(here)!r}",
                f"{nearest(key, allowed)}"
                f"Allowed {'in [' + '.'.join(place) + ']' if place else 'tables'}: "
                f"{', '.join(allowed)}",
            )
        below = allowed[key] if isinstance(allowed, dict) else None
        if not below:
            continue
        if not isinstance(value, dict):
            raise MappingError(
                culprit,
                f"{'.'.join(here)!r} is a value, not a table",
                f"Write [{'.'.join(here)}] with some of {', '.join(below)}",
            )
        check_keys(value, below, text, name, here)


def nearest(word: str, known: Collection[str]) -> str:
    """Return a suggestion, or nothing where no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def line_of(text: str, place: tuple[str, ...]) -> int:
    """Return the line on which a key stands, or its table's, or 1."""
    table: tuple[str, ...] = ()
    best = (0, 1)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+([^\]]*)\]", line):
            table = _key_parts(header[1])
            full = table
        elif assignment := re.match(r"\s*([^=#\[]+?)\s*=", line):
            full = table + _key_parts(assignment[1])
        else:
            continue
        common = 0
        while common < min(len(full), len(place)) and full[common] == place[common]:
            common += 1
        if common > best[0]:
            best = (common, number)
    return best[1]


def _key_parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))
