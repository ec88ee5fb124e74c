from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recsys_pipeline.maintenance.doctor import storage_folder
from recsys_pipeline.maintenance.doctor.storage import check_storage
from recsys_pipeline_tests.maintenance.doctor.bare_settings import settings


def test_local_storage_is_left_as_it_was(tmp_path):
    root = tmp_path / "not" / "yet"
    finding, stamp = check_storage(settings(storage_root=str(root)))
    assert finding.status == "ok"
    assert abs(stamp - datetime.now(UTC)) < timedelta(minutes=1)
    assert list(tmp_path.iterdir()) == []


def test_storage_root_that_is_a_file_is_wrong(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for root in (file, file / "below"):
        finding, _ = check_storage(settings(storage_root=str(root)))
        assert finding.status == "wrong"
        assert finding.fix
    assert file.read_text() == "x"


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_folder, "LOW_DISK_BYTES", 2**80)
    finding, _ = check_storage(settings(storage_root=str(tmp_path)))
    assert finding.status == "warning"
