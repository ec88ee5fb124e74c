from __future__ import annotations

from datetime import UTC, datetime

from recsys_pipeline.maintenance.doctor.erasures import check_erasures
from recsys_pipeline.maintenance.erasure.receipt import Pass, Receipt, save
from recsys_pipeline.storage.layout import receipt_file
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.landed import settings_for

NOW = datetime(2025, 6, 10, 12, tzinfo=UTC)


def test_an_erasure_that_does_not_settle_is_told(tmp_path):
    settings = settings_for(tmp_path)
    objects = open_store(settings.storage_root)
    assert check_erasures(settings, NOW).status == "ok"
    young = Receipt(
        receipt="a", tenant="acme", subjects=(), requested_at="2025-06-09T00:00:00+00:00"
    )
    save(objects, young)
    assert check_erasures(settings, NOW).found == "1 asked for, 1 under way"
    old = young.model_copy(update={"receipt": "b", "requested_at": "2025-06-08T11:59:59+00:00"})
    erased = old.model_copy(update={"passes": (Pass(began_at="x", ended_at="y"),)})
    for late in (old, erased):
        save(objects, late)
        finding = check_erasures(settings, NOW)
        assert finding.status == "wrong"
        assert "2025-06-08" in finding.found
        assert "recsys erase finish" in finding.fix
    save(objects, old.model_copy(update={"settled_at": "2025-06-09T11:00:00+00:00"}))
    assert check_erasures(settings, NOW).found == "2 asked for, 1 under way"
    objects.write(receipt_file("acme", "c"), b"{")
    assert check_erasures(settings, NOW).status == "wrong"
