from __future__ import annotations

from recsys_pipeline.maintenance.doctor.settings import check_settings
from recsys_pipeline.settings import unknown_variables


def test_a_misspelt_variable_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_STORAGEROOT", "x")
    env = tmp_path / ".env"
    env.write_text("RECSYS_NEGATIV_RATIO=3\nRECSYS_SEED=1\nOTHER=1\n")
    unknown = unknown_variables(env)
    assert {"RECSYS_STORAGEROOT", "RECSYS_NEGATIV_RATIO"} <= set(unknown)
    assert "RECSYS_SEED" not in unknown
    assert "OTHER" not in unknown
    assert check_settings(unknown).status == "warning"
    assert check_settings([]).status == "ok"
