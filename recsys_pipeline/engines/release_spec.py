"""What a release is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.storage.manifest import SplitOptions
from recsys_pipeline.transforms.splits import (
    SplitKind,
    rolling_folds,
    time_fold,
    whole_window,
)
from recsys_pipeline.transforms.variants import check_shares

if TYPE_CHECKING:
    from datetime import date

    from recsys_pipeline.transforms.splits import Fold

SHARD_ROWS = 1_000_000
MOST_EVENTS = 1000  # of a sequence
LEAKAGE_WARNING = (
    "leave-last-out: train rows of other users may be later than a user's validation and test rows, so "
    "a model can learn from what came after them; split by time to measure what it would do in use"
)


@dataclass(frozen=True)
class ReleaseSpec:
    """What a release is asked to be.

    Attributes:
        tenant: The tenant.
        first: First day (UTC).
        last: Last day, inclusive.
        split: `time`, `leave-last-out` or `rolling`.
        validation_days: Days of validation; of each fold when rolling.
        test_days: Days of test; of `time` alone.
        folds: Pairs of train and validation; of `rolling` alone.
        train_days: Days that a fold trains on at most; of `rolling` alone, None means all before it.
        seed: Seed of the shuffle; None takes the setting `seed`.
        extend: Release whose vocabularies are kept and extended; None starts new ones.
        evaluation_negatives: Keep the negatives of validation and test.
        allow_missing: Leave out days that were never published, or are held, instead of refusing.
        shard_rows: Rows of a shard, about.
        sequence_length: Events of the sequence that each row gets; 0 means no sequences.
        experiment: Name of the experiment whose variants are a column; None means none.
        variants: Its variants and their shares, in order.
    """

    tenant: str
    first: date
    last: date
    split: SplitKind = "time"
    validation_days: int = 7
    test_days: int = 7
    folds: int = 3
    train_days: int | None = None
    seed: int | None = None
    extend: str | None = None
    evaluation_negatives: bool = False
    allow_missing: bool = False
    shard_rows: int = SHARD_ROWS
    sequence_length: int = 0
    experiment: str | None = None
    variants: tuple[tuple[str, float], ...] = ()

    def check(self) -> None:
        """Look for what contradicts itself, before anything is read.

        Raises:
            SettingsError: Naming the option, its value and the fix.
        """
        if self.last < self.first:
            raise SettingsError("--to", f"{self.last} is before {self.first}", "Swap the two")
        if self.split not in get_args(SplitKind):
            kinds = ", ".join(get_args(SplitKind))
            raise SettingsError("--split", f"{self.split!r} is no split", f"Use one of {kinds}")
        for name, value, least in (
            ("--validation-days", self.validation_days, 0),
            ("--test-days", self.test_days, 0),
            ("--shard-rows", self.shard_rows, 1),
            ("--seed", self.seed or 0, 0),
            ("--sequences", self.sequence_length, 0),
        ):
            if value < least:
                raise SettingsError(name, f"{value} is too small", f"Give at least {least}")
        if self.seed is not None and self.seed >= 2**63:
            raise SettingsError("--seed", f"{self.seed} is too large", "Give less than 2**63")
        if self.sequence_length > MOST_EVENTS:
            raise SettingsError(
                "--sequences", f"{self.sequence_length} is too large", f"Give {MOST_EVENTS} at most"
            )
        if (self.experiment is None) != (not self.variants):
            raise SettingsError(
                "--experiment", "goes with --variants", "E.g. --variants control=0.5,new=0.5"
            )
        if self.variants:
            check_shares(dict(self.variants))
        if self.extend and self.split == "rolling":
            raise SettingsError(
                "--extend",
                "a rolling release has vocabularies for each fold, and none to extend",
                "Use --split time or leave-last-out",
            )
        self.make_folds()

    def make_folds(self) -> tuple[Fold, ...]:
        """Return the folds, in order.

        Raises:
            SettingsError: No day is left to train on.
        """
        window = (self.first, self.last)
        if self.split == "rolling":
            return rolling_folds(window, self.folds, self.validation_days, self.train_days)
        if self.split == "leave-last-out":
            return (whole_window(window),)
        return (time_fold(window, self.validation_days, self.test_days),)

    def options(self) -> SplitOptions:
        """Return how rows are split; options that don't apply are left out."""
        by_days = self.split != "leave-last-out"
        rolling = self.split == "rolling"
        return SplitOptions(
            kind=self.split,
            validation_days=self.validation_days if by_days else None,
            test_days=self.test_days if self.split == "time" else None,
            folds=self.folds if rolling else None,
            train_days=self.train_days if rolling else None,
            evaluation_negatives=self.evaluation_negatives,
        )
