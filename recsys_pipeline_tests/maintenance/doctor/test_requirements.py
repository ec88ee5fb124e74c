from __future__ import annotations

from recsys_pipeline.maintenance.doctor.requirements import check_requirements


def test_a_missing_and_a_wrong_requirement_are_both_named():
    found = check_requirements(
        ["polars<1", "no-such-package-here", "numpy>=1", 'gone; python_version < "3"']
    )
    assert found.status == "wrong"
    assert "polars" in found.found
    assert "no-such-package-here is not installed" in found.found
    assert "numpy" not in found.found
    assert "gone" not in found.found
    assert check_requirements().status == "ok"
