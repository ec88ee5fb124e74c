"""One line of the report: what was looked at, what is the case, what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        check: What was looked at, in a word.
        status: `ok`, `warning` (works, but see) or `wrong` (something will fail).
        found: What is the case.
        fix: What to do about it; empty when nothing is.
    """

    check: str
    status: Status
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the four fields by name."""
        return asdict(self)
