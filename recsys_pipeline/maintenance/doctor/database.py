"""The metadata database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.time_limit import within

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

DATABASE_SECONDS = 10.0


def check_database(settings: Settings, seconds: float = DATABASE_SECONDS) -> Finding:
    """Ask the metadata database for the version of its tables; nothing is made or migrated."""
    from recsys_pipeline.metadata.versions import versions

    name = "metadata"
    try:
        found, newest, known = within(seconds, lambda: versions(settings.metadata_url))
    except TimeoutError:
        words = f"RECSYS_METADATA_URL gave no answer in {seconds:g} s"
        return Finding(name, "wrong", words, "Start the database, or mend the address")
    except SettingsError as error:
        return Finding(name, "wrong", f"{error.culprit}: {error.problem}", error.fix)
    if found is None:
        return Finding(name, "ok", "not there yet: the first upload or key makes it")
    if found == newest:
        return Finding(name, "ok", f"tables of version {found}")
    if found in known:
        words = f"tables of version {found}, the newest is {newest}"
        return Finding(name, "warning", words, "Start `recsys serve` anew: it migrates them")
    words = f"tables of version {found}, which this release does not know"
    return Finding(name, "wrong", words, "Install the release that made them, or a newer one")
