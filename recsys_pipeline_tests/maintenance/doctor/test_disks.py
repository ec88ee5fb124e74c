from __future__ import annotations

from recsys_pipeline.maintenance.doctor.disks import check_disks


def test_a_disk_without_room_is_told(tmp_path):
    assert check_disks(str(tmp_path), low=0).status == "ok"
    assert check_disks(None, low=0).status == "ok"
    assert check_disks(str(tmp_path / "absent"), low=0).status == "ok"
    finding = check_disks(str(tmp_path), low=2**70)
    assert finding.status == "warning"
    assert str(tmp_path) in finding.found
