from __future__ import annotations

from recsys_pipeline.maintenance.doctor.dagster_home import check_dagster_home


def test_dagster_home(home, monkeypatch):
    assert check_dagster_home(str(home)).status == "ok"
    (home / "dagster.yaml").unlink()
    bad = {
        "": "not set",
        "relative/home": "not an absolute path",
        str(home / "none"): "not a folder",
        str(home): "no dagster.yaml",
    }
    for value, words in bad.items():
        finding = check_dagster_home(value)
        assert finding.status == "wrong"
        assert words in finding.found
        assert finding.fix
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert check_dagster_home().status == "wrong"
