"""What retention has left of sealed events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.errors import StorageError
from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.time_limit import within
from recsys_pipeline.storage.file_hash import hash_file
from recsys_pipeline.storage.horizons import read_horizons
from recsys_pipeline.storage.objects import open_store

if TYPE_CHECKING:
    from recsys_pipeline.settings import Settings

SEALED_SECONDS = 60.0


def check_sealed(settings: Settings, seconds: float = SEALED_SECONDS) -> Finding:
    """Read the horizons, and compare each sealed state's bytes with their hash."""
    try:
        damaged, whole = within(seconds, lambda: _states(settings.storage_root))
    except TimeoutError:
        words = f"the states took more than {seconds:g} s to read"
        return Finding("sealed", "warning", words, "Look again when the store is less busy")
    except StorageError as error:
        return Finding("sealed", "wrong", f"{error.culprit} {error.problem}", error.fix)
    except Exception as error:  # noqa: BLE001  # any failure of a store is a finding
        return Finding("sealed", "wrong", f"can't be read ({error})", "See the line `storage`")
    if damaged:
        words = f"the state of {', '.join(damaged)} is missing or damaged"
        fix = "Restore _meta/sealed/ from a backup: their events are gone, and no later day can be made"
        return Finding("sealed", "wrong", words, fix)
    told = f"the states of {len(whole)} tenants are whole" if whole else "no events are sealed"
    return Finding("sealed", "ok", told)


def _states(root: str) -> tuple[list[str], list[str]]:
    """Return the tenants whose state is not as it was written, and the others."""
    objects = open_store(root)
    damaged: list[str] = []
    whole: list[str] = []
    for tenant, horizon in sorted(read_horizons(objects).tenants.items()):
        if horizon.seal is None:
            continue
        handle = objects.open(horizon.seal.state)
        if handle is None:
            damaged.append(tenant)
            continue
        with handle:
            is_whole = hash_file(handle) == horizon.seal.blake2b
        (whole if is_whole else damaged).append(tenant)
    return damaged, whole
