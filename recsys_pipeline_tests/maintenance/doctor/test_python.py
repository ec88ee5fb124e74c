from __future__ import annotations

from recsys_pipeline.maintenance.doctor.python import check_python


def test_python_of_another_version_is_wrong():
    assert check_python((3, 11, 2)).status == "ok"
    for version in ((3, 10, 9), (3, 14, 0)):
        finding = check_python(version)
        assert finding.status == "wrong"
        assert "make setup" in finding.fix
