"""A message to the operator, and how it is said in a line and as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

SHOWN_DAYS = 10
TITLES = {"run_failed": "Run failed", "held": "Days held", "test": "Test"}


class Message(BaseModel):
    """What is told of a trouble; see `Trouble` and `Known` for what is not told here.

    Attributes:
        id: The same for every attempt.
        state: It has begun, or is over.
        url: Address of the run in the UI.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    state: Literal["firing", "resolved"]
    kind: str
    asset: str
    tenant: str
    words: str
    command: str
    days: tuple[str, ...] = ()
    run: str | None = None
    job: str | None = None
    topic: str | None = None
    began_at: float
    times: int
    url: str | None = None

    @property
    def since(self) -> str:
        """Return when the trouble began: UTC, ISO 8601."""
        return datetime.fromtimestamp(self.began_at, UTC).isoformat(timespec="seconds")

    @property
    def subject(self) -> str:
        """Return it in a line."""
        over = "Over: " if self.state == "resolved" else ""
        of = f" of {self.tenant}" if self.tenant else ""
        return f"[recsys] {over}{TITLES.get(self.kind, self.kind)}: {self.asset}{of}"

    @property
    def text(self) -> str:
        """Return it as lines."""
        shown = ", ".join(self.days[:SHOWN_DAYS])
        more = len(self.days) - SHOWN_DAYS
        lines = [
            self.words,
            "",
            f"asset: {self.asset}",
            f"tenant: {self.tenant or 'all'}",
            *([f"days: {shown}" + (f" and {more} more" if more > 0 else "")] if shown else []),
            f"since: {self.since}",
            *([f"run: {self.url}"] if self.url else []),
            *([f"next: {self.command}"] if self.state == "firing" else []),
        ]
        return "\n".join(lines) + "\n"


class Owed(BaseModel):
    """A message that is owed.

    Attributes:
        at: Since when, in seconds since 1970.
        channels: The channels that have not taken it.
    """

    model_config = ConfigDict(frozen=True)

    at: float
    channels: tuple[str, ...]
    message: Message
