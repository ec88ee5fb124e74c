"""The published days of training samples that a release is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys_pipeline.engines.steps import SAMPLES, sample_inputs
from recsys_pipeline.errors import ReleaseError, SettingsError

if TYPE_CHECKING:
    from datetime import date

    from recsys_pipeline.engines.release_spec import ReleaseSpec
    from recsys_pipeline.engines.view import View
    from recsys_pipeline.storage.records import Record

DAYS_SHOWN = 5


@dataclass(frozen=True)
class ReleaseInputs:
    """The days of a release.

    Attributes:
        records: What is published, by day, in order; days without rows are left out.
        left_out: Days that were never published, are held, or are lost (published, sealed, and damaged
            since), and which of these.
    """

    records: dict[date, Record]
    left_out: dict[date, str]

    def warnings(self) -> list[str]:
        """Say which days are left out."""
        return [f"{day} is left out: it is {why}" for day, why in sorted(self.left_out.items())]


def release_inputs(view: View, spec: ReleaseSpec) -> ReleaseInputs:
    """Judge the samples of every day of a window.

    Raises:
        SettingsError: The window begins before the start date.
        ReleaseError: A day is stale; or missing, held or lost, unless they may be left out; or no day of
            the window has samples.
    """
    start = view.settings.start_date
    if spec.first < start:
        raise SettingsError(
            "--from",
            f"{spec.first} is before the start date {start}",
            f"Set RECSYS_START_DATE={spec.first} or choose a later day",
        )
    run = f"recsys run --from {spec.first} --to {spec.last} --tenant {spec.tenant}"
    events = view.chains("interactions", spec.last)
    items = view.chains("items", spec.last)
    seen = view.effective("interactions", spec.last)
    known = {p for p in view.landed("interactions") if view.keeps(SAMPLES, p)}
    known = {p for p in known | view.partitions(SAMPLES) if spec.first <= p[0] <= spec.last}
    wrong: dict[str, list[date]] = {"stale": [], "missing": [], "held": [], "lost": []}
    found: dict[date, Record] = {}
    for day, recorded in _sealed(view, spec).items():
        if view.store.holds(SAMPLES, (day, spec.tenant), recorded):
            found[day] = recorded
        else:
            wrong["lost"].append(day)
    for partition in sorted(p for p in known if p[1] == spec.tenant):
        record = view.intact(SAMPLES, partition)
        if partition in seen and seen[partition].held:
            wrong["held"].append(partition[0])
        elif record and record.inputs == sample_inputs(view, partition, events, items):
            found[partition[0]] = record
        else:
            published = view.records(SAMPLES, partition[0]).get(spec.tenant)
            wrong["stale" if published else "missing"].append(partition[0])
    fixes = {
        "stale": f"Make it anew: {run}",
        "missing": f"Make it: {run}; or leave it out with --allow-missing",
        "held": f"recsys quarantine accept --tenant {spec.tenant} --date {{day}}; or leave it out with "
        "--allow-missing",
        "lost": "The events are sealed: it can't be made again. Restore its file from a backup; or leave it "
        "out with --allow-missing",
    }
    for state, days in wrong.items():
        if days and (state == "stale" or not spec.allow_missing):
            raise ReleaseError(
                f"training_samples of {spec.tenant}",
                f"{_shown(days)} {'is' if len(days) == 1 else 'are'} {state}",
                fixes[state].format(day=days[0]),
            )
    records = {day: record for day, record in found.items() if record.file}
    if not records:
        raise ReleaseError(
            f"training_samples of {spec.tenant}",
            f"has no rows from {spec.first} to {spec.last}",
            f"Choose other days, or make these: {run}",
        )
    left_out = {day: state for state in ("missing", "held", "lost") for day in wrong[state]}
    return ReleaseInputs(records, left_out)


def _sealed(view: View, spec: ReleaseSpec) -> dict[date, Record]:
    """Return what is recorded of days whose events are sealed: it can't be stale any more."""
    return {
        day: record
        for day in view.published_days(SAMPLES)
        if spec.first <= day <= spec.last and not view.keeps(SAMPLES, (day, spec.tenant))
        if (record := view.records(SAMPLES, day).get(spec.tenant)) is not None
    }


def _shown(days: list[date]) -> str:
    named = ", ".join(str(day) for day in days[:DAYS_SHOWN])
    more = len(days) - DAYS_SHOWN
    return f"{named} and {more:,} more days" if more > 0 else named
