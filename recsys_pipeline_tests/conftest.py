"""The environment of every test: fixed dates, an own storage root, nothing of the developer's."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

REAL_DATA = Path(__file__).parents[1].parent / "shared" / "data"

# partitions are made when the definitions are imported, so this stands before any test module
for name in [n for n in os.environ if n.startswith("RECSYS_")]:
    del os.environ[name]
_unused = tempfile.mkdtemp(prefix="recsys-tests-")
os.environ["RECSYS_START_DATE"] = "2025-01-01"
os.environ["RECSYS_STORAGE_ROOT"] = f"{_unused}/root"
os.environ["RECSYS_TENANTS_FILE"] = f"{_unused}/tenants.toml"
os.environ["DAGSTER_HOME"] = _unused
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"


def pytest_unconfigure():
    shutil.rmtree(_unused, ignore_errors=True)


@pytest.fixture
def use_root(monkeypatch):
    """Point the settings of this process at a storage root."""
    from recsys_pipeline.settings import get_settings

    def use(root, **values):
        monkeypatch.setenv("RECSYS_STORAGE_ROOT", str(root))
        for key, value in values.items():
            monkeypatch.setenv(f"RECSYS_{key.upper()}", str(value))
        get_settings.cache_clear()
        return get_settings()

    yield use
    get_settings.cache_clear()


@pytest.fixture
def real_data() -> Path:
    """The folder of public data sets beside the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the public data sets are not in {REAL_DATA}")
    return REAL_DATA
