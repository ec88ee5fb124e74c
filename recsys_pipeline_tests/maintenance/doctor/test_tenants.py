from __future__ import annotations

from recsys_pipeline.maintenance.doctor.tenants import check_tenants
from recsys_pipeline_tests.maintenance.doctor.bare_settings import settings


def test_tenants(tmp_path):
    file = tmp_path / "tenants.toml"
    assert check_tenants(settings(tenants_file=file)).status == "ok"
    assert check_tenants(settings(tenants_file=file, auto_tenants=False)).status == "wrong"
    file.write_text("[tenants.acme]\nnegative_ratio = 3\n")
    finding = check_tenants(settings(tenants_file=file))
    assert finding.status == "ok"
    assert "acme" in finding.found
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[tenants.acme]\nratio = 3\n")
    finding = check_tenants(settings(tenants_file=wrong))
    assert finding.status == "wrong"
    assert "ratio" in finding.found
