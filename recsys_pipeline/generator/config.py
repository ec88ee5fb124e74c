"""What to generate: every number of the synthetic data, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.schemas.bounds import EARLIEST, LATEST
from recsys_pipeline.settings import INTERACTION_TYPES

FileFormat = Literal["csv", "jsonl", "parquet"]
Compression = Literal["none", "gzip", "zstd"]

DEFAULT_TYPES = {"view": 50.0, "click": 25.0, "like": 12.0, "add_to_cart": 5.0, "purchase": 8.0}
DEFAULT_DAYS = 90
# a day whose rejected share is above 0.10 is held: stay below it, rounding included
MAX_DIRTY = 0.09

_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def _default_types() -> dict[str, float]:
    return dict(DEFAULT_TYPES)


@dataclass(frozen=True)
class GeneratorConfig:
    """What to generate. The same configuration gives the same bytes.

    Attributes:
        start: First day of the window (UTC).
        days: Days of the window; each has at least one event.
        users: Users; those of low activity may have no event.
        items: Items of the catalogue.
        events: Events, injected rows not counted.
        types: Weight of each interaction type; a missing one has none.
        top_share: Share of the events that is made by the most active 20 % of the users.
        categories: How many of the named categories are used.
        brands: How many brands there are.
        event_ids: Whether events carry an `event_id`.
        seed: Seed of everything.
        file_format: `csv`, `jsonl` or `parquet`.
        compress: Compression of text files, codec of Parquet; None means none for text and
            zstd for Parquet.
        dirty: Share of bad rows in each of the two files, 0 to 0.09.

    Raises:
        SettingsError: A value is out of range; the culprit is the option's name.
    """

    start: date
    days: int = DEFAULT_DAYS
    users: int = 10_000
    items: int = 5_000
    events: int = 100_000
    types: dict[str, float] = field(default_factory=_default_types)
    top_share: float = 0.8
    categories: int = 12
    brands: int = 15
    event_ids: bool = True
    seed: int = 1
    file_format: FileFormat = "csv"
    compress: Compression | None = None
    dirty: float = 0.0

    def __post_init__(self) -> None:
        """Check each value."""
        for name, low, high in (
            ("users", 1, 10**9),
            ("items", 1, 10**8),
            ("days", 1, 106_000),
            ("events", 1, 10**12),
            ("categories", 1, 12),
            ("brands", 1, 400),
            ("seed", 0, 2**63 - 1),
        ):
            _in_range(f"--{name}", getattr(self, name), low, high)
        _in_range("--dirty", self.dirty, 0, MAX_DIRTY)
        _in_range("--top-share", self.top_share, 0.21, 0.99)
        if self.events < self.days:
            raise SettingsError(
                "--events",
                f"{self.events} are too few for {self.days} days",
                "Every day of the window has an event: raise --events or lower --days",
            )
        check_types(self.types)
        for option, value, known in (
            ("--format", self.file_format, ("csv", "jsonl", "parquet")),
            ("--compress", self.compress, (None, *_SUFFIXES)),
        ):
            if value not in known:
                names = ", ".join(name for name in known if name)
                raise SettingsError(option, f"{value!r} is not known", f"Use one of {names}")
        try:
            last = self.end
        except OverflowError:
            last = date.max
        if self.start < EARLIEST.date() or last >= LATEST.date():
            raise SettingsError(
                "--start", f"the window {self.start} to {last} leaves 1970 to 2261", "Move it"
            )

    @property
    def end(self) -> date:
        """Last day of the window."""
        return self.start + timedelta(days=self.days - 1)

    @property
    def codec(self) -> Compression:
        """Compression in effect."""
        if self.compress is None:
            return "zstd" if self.file_format == "parquet" else "none"
        return self.compress

    def file_name(self, stem: str) -> str:
        """Return a data file's name, e.g. `interactions.csv.gz`."""
        suffix = "" if self.file_format == "parquet" else _SUFFIXES[self.codec]
        return f"{stem}.{self.file_format}{suffix}"


def _in_range(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingsError(option, f"{value} is out of range", f"Use {low} to {high}")


def check_types(types: dict[str, float]) -> None:
    """Check the weights of the interaction types.

    Raises:
        SettingsError: A type is unknown, a weight is negative or not finite, or all are 0.
    """
    for name, weight in types.items():
        if name not in INTERACTION_TYPES:
            raise SettingsError(
                "--types", f"{name!r} is not a type", f"Use {', '.join(INTERACTION_TYPES)}"
            )
        if not 0 <= weight < float("inf"):
            raise SettingsError("--types", f"{name}={weight} is not a weight", "Use 0 or more")
    if not sum(types.values()) > 0:
        raise SettingsError("--types", "all weights are 0", "Give one type a weight above 0")


def parse_types(text: str) -> dict[str, float]:
    """Read `view=50,click=25` as weights.

    Raises:
        SettingsError: A part is not `NAME=NUMBER`, or the weights have no meaning.
    """
    types: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            types[name.strip()] = float(weight)
        except ValueError:
            raise SettingsError(
                "--types", f"{part!r} is not NAME=NUMBER", "Write e.g. view=50,click=25"
            ) from None
    check_types(types)
    return types


def window(
    start: date | None, end: date | None, days: int | None, *, today: date
) -> tuple[date, int]:
    """Return the first day and the number of days that the options mean.

    Args:
        start: First day, if given.
        end: Last day, if given; yesterday if neither end nor (start and days) say it.
        days: Number of days, if given; 90 if nothing else says it.
        today: The current UTC day.

    Raises:
        SettingsError: The three contradict each other, or the end is before the start.
    """
    if start is None:
        last = end or today - timedelta(days=1)
        length = DEFAULT_DAYS if days is None else days
        try:
            return last - timedelta(days=max(length, 1) - 1), length
        except OverflowError:
            raise SettingsError("--days", f"{length} is out of range", "Use fewer days") from None
    if end is None and days is not None:
        return start, days
    last = end or today - timedelta(days=1)
    length = (last - start).days + 1
    if length < 1:
        raise SettingsError("--end", f"{last} is before --start {start}", "Move one of them")
    if days not in (None, length):
        raise SettingsError(
            "--days",
            f"{days} contradicts --start {start} and --end {last} ({length} days)",
            "Give two of the three",
        )
    return start, length
