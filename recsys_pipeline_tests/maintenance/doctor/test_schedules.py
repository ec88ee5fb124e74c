from __future__ import annotations

import pytest

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.maintenance.doctor.schedules import UPKEEP, check_schedules
from recsys_pipeline_tests.landed import settings_for

EVENTS = {"retention": {"events": 30}}


@pytest.mark.parametrize(
    ("values", "switched", "status"),
    [
        ({}, {}, "ok"),
        (EVENTS, None, "warning"),
        (EVENTS, {}, "warning"),
        (EVENTS, {"daily_schedule": True}, "warning"),
        (EVENTS, {UPKEEP: True}, "ok"),
        (EVENTS | {"schedules_running": True}, {}, "ok"),
        (EVENTS | {"schedules_running": True}, {UPKEEP: False}, "warning"),
        ({"retention_run_days": 30}, {}, "warning"),
    ],
)
def test_retention_needs_its_schedule(tmp_path, values, switched, status):
    given = None if switched is None else lambda: switched
    assert check_schedules(settings_for(tmp_path, **values), given).status == status


def test_a_tenant_s_own_retention_counts(tmp_path):
    settings = settings_for(tmp_path)
    settings.tenants_file.write_text("[tenants.acme]\nretention = {events = 30}\n")
    finding = check_schedules(settings, dict)
    assert (finding.status, "acme" in finding.found) == ("warning", True)


def test_an_instance_that_can_not_be_read(tmp_path):
    def unknown():
        raise SettingsError("DAGSTER_HOME", "is not set")

    finding = check_schedules(settings_for(tmp_path, **EVENTS), unknown)
    assert (finding.status, "DAGSTER_HOME" in finding.found) == ("warning", True)
