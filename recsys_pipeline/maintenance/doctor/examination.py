"""Every check in the order of the report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.maintenance.doctor.clock import check_clock
from recsys_pipeline.maintenance.doctor.contracts import check_contracts
from recsys_pipeline.maintenance.doctor.dagster_home import check_dagster_home
from recsys_pipeline.maintenance.doctor.database import check_database
from recsys_pipeline.maintenance.doctor.disks import check_disks
from recsys_pipeline.maintenance.doctor.erasures import check_erasures
from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.kafka import check_kafka
from recsys_pipeline.maintenance.doctor.lock import check_lock
from recsys_pipeline.maintenance.doctor.owed import check_owed
from recsys_pipeline.maintenance.doctor.ports import PORTS, check_port
from recsys_pipeline.maintenance.doctor.python import check_python
from recsys_pipeline.maintenance.doctor.requirements import check_requirements
from recsys_pipeline.maintenance.doctor.schedules import check_schedules
from recsys_pipeline.maintenance.doctor.sealed import check_sealed
from recsys_pipeline.maintenance.doctor.settings import check_settings
from recsys_pipeline.maintenance.doctor.storage import check_storage
from recsys_pipeline.maintenance.doctor.tenants import check_tenants
from recsys_pipeline.settings import dagster_home, get_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def examine(switched: Callable[[], Mapping[str, bool]] | None = None) -> list[Finding]:
    """Run every check; those that ask a service are bounded in time.

    Args:
        switched: Returns the schedules that were started or stopped by hand, see `check_schedules`.
    """
    findings = [check_python(), check_requirements(), check_lock(), check_contracts()]
    findings += [check_dagster_home(), check_disks(dagster_home())]
    try:
        settings = get_settings()
    except SettingsError as error:
        findings.append(
            Finding("settings", "wrong", f"{error.culprit}: {error.problem}", error.fix)
        )
        return [*findings, *(check_port(port) for port in PORTS)]
    storage, storage_clock = check_storage(settings)
    now = datetime.now(UTC)
    # a store that does not answer would be waited for again by each of these
    of_store = (
        [check_sealed(settings), check_erasures(settings, now), check_owed(settings, now)]
        if storage.status != "wrong"
        else []
    )
    return [
        *findings,
        check_settings(),
        check_tenants(settings),
        storage,
        *of_store,
        check_database(settings),
        check_schedules(settings, switched),
        check_kafka(settings),
        *(check_port(port) for port in PORTS),
        check_clock(settings, now, storage_clock),
    ]
