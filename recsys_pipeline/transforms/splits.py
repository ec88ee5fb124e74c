"""Splits by days: which days train, which validate, which test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from recsys_pipeline.errors import SettingsError

SplitKind = Literal["time", "leave-last-out", "rolling"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Days = tuple[date, date]  # first and last, both inclusive


@dataclass(frozen=True)
class Fold:
    """One train split and what is held out from it.

    Attributes:
        name: Folder of the fold in its release; empty where a release has a single one.
        days: First and last day by split, in the order of time. Where rows are not split by days,
            all splits have the whole window.
    """

    name: str
    days: dict[Split, Days]

    @property
    def first(self) -> date:
        """Return the first day of any split."""
        return min(first for first, _ in self.days.values())

    @property
    def last(self) -> date:
        """Return the last day of any split."""
        return max(last for _, last in self.days.values())

    def split_of(self, day: date) -> Split | None:
        """Return the split that holds a day, or None where the fold leaves it out."""
        return next((s for s, (first, last) in self.days.items() if first <= day <= last), None)


def time_fold(window: Days, validation_days: int, test_days: int) -> Fold:
    """Split a window by time: its last days test, those before them validate, the rest train.

    Args:
        window: First and last day.
        validation_days: Days of validation; 0 leaves the split out.
        test_days: Days of test; 0 leaves the split out.

    Raises:
        SettingsError: No day is left to train on.
    """
    first, last = window
    _need_days(window, validation_days + test_days, "--validation-days and --test-days")
    until = last - timedelta(days=test_days + validation_days)
    days: dict[Split, Days] = {"train": (first, until)}
    if validation_days:
        days["validation"] = (until + timedelta(days=1), until + timedelta(days=validation_days))
    if test_days:
        days["test"] = (last - timedelta(days=test_days - 1), last)
    return Fold("", days)


def rolling_folds(
    window: Days, folds: int, validation_days: int, train_days: int | None
) -> tuple[Fold, ...]:
    """Split a window into pairs of train and validation that move forward in time.

    The validation days of the folds follow one another and end with the window; each fold trains
    on the days before its own.

    Args:
        window: First and last day.
        folds: Number of pairs, at least 1.
        validation_days: Days of validation of each, at least 1.
        train_days: Train on so many days at most; None trains on all from the window's first.

    Raises:
        SettingsError: A number is too small, or no day is left to train the first fold on.
    """
    first, last = window
    for name, value in (
        ("--folds", folds),
        ("--validation-days", validation_days),
        ("--train-days", 1 if train_days is None else train_days),
    ):
        if value < 1:
            raise SettingsError(name, f"{value} is too few", "Give at least 1")
    _need_days(window, folds * validation_days, "--folds times --validation-days")
    found = []
    for number in range(1, folds + 1):
        end = last - timedelta(days=(folds - number) * validation_days)
        begin = end - timedelta(days=validation_days - 1)
        until = begin - timedelta(days=1)
        since = first if train_days is None else max(first, begin - timedelta(days=train_days))
        found.append(Fold(f"fold-{number}", {"train": (since, until), "validation": (begin, end)}))
    return tuple(found)


def whole_window(window: Days) -> Fold:
    """Return the fold of a split that goes by each user's rows, not by days."""
    return Fold("", dict.fromkeys(SPLITS, window))


def _need_days(window: Days, held_out: int, names: str) -> None:
    days = (window[1] - window[0]).days + 1
    if held_out >= days:
        raise SettingsError(
            names,
            f"hold out {held_out} of the {days} days from {window[0]} to {window[1]}",
            "Leave at least one to train on",
        )
