"""Ids in texts that nobody could read: torn JSON, lines with too few fields."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATORS = re.compile(r"[\s,;|\"'{}\[\]()<>=\\]+")
_DELIMITERS = ",;|\t\n"
_JSON = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_CSV = re.compile(r'"((?:[^"]|"")*)"')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROL = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def words(text: str) -> set[str]:
    """Return what in a text may be an id: words, fields of a line, quoted strings, values of JSON.

    An id with a space is found as a field or a string.
    """
    found = _values(text)
    for form in _forms(text):
        for part in _SEPARATORS.split(form):
            found |= {part, *part.split(":")}
        for field in re.split(f"[{_DELIMITERS}]", form):
            found |= {field.strip(), field.strip().strip('"')}
        found |= {_unescaped(quoted) for quoted in _JSON.findall(form)}
    found |= {quoted.replace('""', '"').strip() for quoted in _CSV.findall(text)}
    return found - {""}


def stands_in(word: str, text: str) -> bool:
    """Say whether a text has a word that is no part of a longer one, as it is or escaped."""
    whole = re.compile(rf"(?<![0-9A-Za-z_]){re.escape(word)}(?![0-9A-Za-z_])")
    return any(whole.search(form) for form in _forms(text))


def _forms(text: str) -> Iterator[str]:
    """Yield a text as it is, and as JSON or CSV may have meant it."""
    yield text
    if "\\" in text:
        yield _unescaped(text)
    if '""' in text:
        yield text.replace('""', '"')


def _unescaped(text: str) -> str:
    """Replace the escapes of JSON, wherever they are."""
    made = _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _CONTROL.get(found[2], found[2]), text
    )
    # two escapes are one character outside of the first plane
    return made.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _values(text: str) -> set[str]:
    """Return the strings and numbers in a JSON text, as text; none where it is no JSON."""
    try:
        pending = [json.loads(text)]
    except (ValueError, RecursionError):
        return set()
    found: set[str] = set()
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str | int | float):
            found.add(str(value))
    return found
