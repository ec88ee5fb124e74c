"""Every check in the order of the report."""

from __future__ import annotations

from datetime import UTC, datetime

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.maintenance.doctor.clock import check_clock
from recsys_pipeline.maintenance.doctor.dagster_home import check_dagster_home
from recsys_pipeline.maintenance.doctor.finding import Finding
from recsys_pipeline.maintenance.doctor.kafka import check_kafka
from recsys_pipeline.maintenance.doctor.lock import check_lock
from recsys_pipeline.maintenance.doctor.ports import PORTS, check_port
from recsys_pipeline.maintenance.doctor.python import check_python
from recsys_pipeline.maintenance.doctor.requirements import check_requirements
from recsys_pipeline.maintenance.doctor.settings import check_settings
from recsys_pipeline.maintenance.doctor.storage import check_storage
from recsys_pipeline.maintenance.doctor.tenants import check_tenants
from recsys_pipeline.settings import get_settings


def examine() -> list[Finding]:
    """Run every check, the storage and Kafka ones bounded in time."""
    findings = [check_python(), check_requirements(), check_lock(), check_dagster_home()]
    try:
        settings = get_settings()
    except SettingsError as error:
        findings.append(
            Finding("settings", "wrong", f"{error.culprit}: {error.problem}", error.fix)
        )
        return [*findings, *(check_port(port) for port in PORTS)]
    storage, storage_clock = check_storage(settings)
    return [
        *findings,
        check_settings(),
        check_tenants(settings),
        storage,
        check_kafka(settings),
        *(check_port(port) for port in PORTS),
        check_clock(settings, datetime.now(UTC), storage_clock),
    ]
