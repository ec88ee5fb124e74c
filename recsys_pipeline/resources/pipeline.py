"""The pipeline as a Dagster resource: which tenants a run serves, and its view of the data."""

import re
from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from recsys_pipeline.engines.view import View
from recsys_pipeline.settings import get_settings
from recsys_pipeline.storage.objects import ObjectStore, open_store
from recsys_pipeline.storage.parquet_store import ParquetStore
from recsys_pipeline.storage.records import Pin

PIN_TAG = "recsys/landing_versions"
MAX_VIEWS = 4

# by run: Dagster makes one resource object for the assets and another for the IO manager
_views: dict[str, View] = {}


class Pipeline(dg.ConfigurableResource):  # type: ignore[type-arg]  # dagster's own base
    """Run configuration of the pipeline.

    Every step of a run reads the same landing: its versions are pinned in a run tag.
    """

    tenants: list[str] = Field(
        default=[], description="Run for these tenants only; empty means all."
    )
    force: bool = Field(
        default=False, description="Make partitions anew even where nothing has changed."
    )

    def view(self, instance: dg.DagsterInstance, run_id: str, *, repin: bool = False) -> View:
        """Return the run's view, pinning the latest landing on first use or on a retry."""
        if run_id in _views and not repin:
            return _views[run_id]
        run = instance.get_run_by_id(run_id)
        pin = None if repin else _read_pin(run.tags if run else {}, run_id)
        view = open_view(pin, self.tenants)
        if run is not None and pin != view.pin:
            tag = f"interactions-{view.pin.interactions}_items-{view.pin.items}_{run_id[:8]}"
            instance.add_run_tags(run_id, {PIN_TAG: tag})
        _views[run_id] = view
        while len(_views) > MAX_VIEWS:
            del _views[next(iter(_views))]
        return view


def _read_pin(tags: Mapping[str, str], run_id: str) -> Pin | None:
    """Read a run's own pin; a re-executed run inherits its parent's tag, which is not its own."""
    found = re.fullmatch(r"interactions-(-?\d+)_items-(-?\d+)_(.*)", tags.get(PIN_TAG, ""))
    if found is None or found[3] != run_id[:8]:
        return None
    return Pin(int(found[1]), int(found[2]))


def open_view(pin: Pin | None = None, tenants: list[str] | None = None) -> View:
    """Return a view of the configured storage root."""
    settings = get_settings()
    return View(settings, ParquetStore(open_store(settings.storage_root)), pin, tenants)


def open_store_of_settings() -> ObjectStore:
    """Return the store of the configured root."""
    return open_store(get_settings().storage_root)
