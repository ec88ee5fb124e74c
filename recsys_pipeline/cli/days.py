"""Days as options name them."""

from __future__ import annotations

from datetime import date

from recsys_pipeline.errors import SettingsError


def day_of(value: str | None, option: str) -> date | None:
    """Return the day that an option names; None where it was not given.

    Raises:
        SettingsError: It is no date.
    """
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise SettingsError(option, f"{value!r} is not a date", "Write it as 2025-01-31") from None


def window(day: str | None, first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """Return the first and last day of `--date`, or of `--from` and `--to`; None is open.

    Raises:
        SettingsError: One is no date, `--date` goes with another, or the last is before the first.
    """
    start, end, one = day_of(first, "--from"), day_of(last, "--to"), day_of(day, "--date")
    if one is not None:
        if start is not None or end is not None:
            raise SettingsError("--date", "goes without --from and --to", "Leave one out")
        return one, one
    if start is not None and end is not None and end < start:
        raise SettingsError("--to", f"{end} is before {start}", "Swap the two")
    return start, end
