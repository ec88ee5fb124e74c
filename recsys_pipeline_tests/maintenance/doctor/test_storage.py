from __future__ import annotations

import threading
import time

from recsys_pipeline.maintenance.doctor import storage
from recsys_pipeline.maintenance.doctor.storage import check_storage
from recsys_pipeline_tests.maintenance.doctor.bare_settings import settings


def test_storage_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "probe_folder", lambda root: threading.Event().wait(30))
    began = time.monotonic()
    finding, _ = check_storage(settings(storage_root=str(tmp_path)), seconds=0.2)
    assert time.monotonic() - began < 5
    assert finding.status == "wrong"
    assert "no answer" in finding.found
