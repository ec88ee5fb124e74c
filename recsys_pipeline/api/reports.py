"""What becomes of the rows of an upload: how many are good, and what is wrong with the others."""

from __future__ import annotations

from collections import Counter
from datetime import date  # pydantic reads it at run time
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel, Field

from recsys_pipeline.api.problems import ApiError
from recsys_pipeline.schemas.landing import PROBLEM_WORDS
from recsys_pipeline.transforms.validation import judged_by, rejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recsys_pipeline.storage.landing import Kind

FIRST_ERRORS = 100


class RowError(BaseModel):
    """One rule that a row breaks."""

    row: int = Field(description="Line of a CSV file, else number of the row, from 1.")
    column: str = Field(description="Column; `line` where the whole row can't be read.")
    rule: str = Field(description="Code of the rule, as in quarantine.", examples=["rating.range"])
    message: str = Field(description="The rule in words.", examples=["must be from 0.0 to 5.0"])


class Report(BaseModel):
    """What became of rows."""

    rows_received: int
    rows_landed: int = Field(description="Rows that obey every rule.")
    rows_rejected: int = Field(description="Rows that end in quarantine with their reasons.")
    rejected_by_rule: dict[str, int] = Field(description="Rejected rows by their first reason.")
    days: list[date] = Field(description="Days touched (UTC).")
    errors: list[RowError] = Field(description=f"The first {FIRST_ERRORS}, by row.")


class Judge:
    """Judges the rows of an upload while they pass, block by block.

    Args:
        kind: What the rows are.
        max_days: Days that they may touch.
        categories: Allowed categories of the tenant, where it has a list.
    """

    def __init__(
        self, kind: Kind, max_days: int, categories: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._kind = kind
        self._max_days = max_days
        self._categories = categories
        self._words = {rule.code: rule.words for rule in judged_by(kind, categories)}
        self._words |= PROBLEM_WORDS
        self._received = self._rejected = 0
        self._by_rule: Counter[str] = Counter()
        self._days: set[date] = set()
        self._errors: list[RowError] = []

    def see(self, rows: pl.DataFrame) -> None:
        """Judge landed rows.

        Raises:
            ApiError: They touch too many days.
        """
        bad = rejected(rows, self._kind, self._categories)
        self._received += rows.height
        self._rejected += bad.height
        self._days.update(rows["date"].unique())
        if len(self._days) > self._max_days:
            raise ApiError(
                422,
                "too_many_days",
                f"the rows are of over {self._max_days:,} days",
                "Send them in parts, or raise RECSYS_API_MAX_DAYS",
            )
        first = bad["reasons"].str.split(";").list.first()
        self._by_rule.update(dict(first.value_counts().iter_rows()))
        missing = FIRST_ERRORS - len(self._errors)
        if missing > 0 and bad.height:
            told = bad.select("position", "reasons").head(missing)
            for position, reasons in told.iter_rows():
                self._errors += [self._error(position, code) for code in reasons.split(";")]
            del self._errors[FIRST_ERRORS:]

    def report(self) -> Report:
        """Return what was seen so far."""
        return Report(
            rows_received=self._received,
            rows_landed=self._received - self._rejected,
            rows_rejected=self._rejected,
            rejected_by_rule=dict(sorted(self._by_rule.items())),
            days=sorted(self._days),
            errors=self._errors,
        )

    def _error(self, position: int, code: str) -> RowError:
        words = self._words.get(code, "breaks a rule")
        return RowError(row=position, column=code.partition(".")[0], rule=code, message=words)
