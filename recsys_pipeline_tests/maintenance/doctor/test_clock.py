from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recsys_pipeline.maintenance.doctor.clock import check_clock
from recsys_pipeline_tests.maintenance.doctor.bare_settings import settings

NOON = datetime(2100, 1, 1, 12, tzinfo=UTC)  # after this file was written, whenever it is run


def test_clock():
    fine = settings()
    assert check_clock(fine, NOON, NOON).status == "ok"
    assert check_clock(fine, NOON, None).status == "ok"
    assert check_clock(fine, NOON, NOON + timedelta(minutes=6)).status == "wrong"
    assert check_clock(fine, NOON, NOON - timedelta(minutes=6)).status == "wrong"
    assert check_clock(fine, datetime(1999, 1, 1, tzinfo=UTC), None).status == "wrong"
    ahead = settings(start_date=NOON.date() + timedelta(days=1))
    assert check_clock(ahead, NOON, NOON).status == "warning"
