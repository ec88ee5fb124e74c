"""Fixtures of the ingestion tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys_pipeline.ingestion.readers import json_array, lines
from recsys_pipeline_tests.landed import START, settings_for

REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
def settings(tmp_path):
    """Settings with an empty local storage root."""
    assert START.year == 2025
    return settings_for(tmp_path / "store")


@pytest.fixture
def real_data() -> Path:
    """The folder of public data sets beside the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the public data sets are not in {REAL_DATA}")
    return REAL_DATA


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Chunks of a few bytes, so that every boundary is met."""
    for module in (lines, json_array):
        monkeypatch.setattr(module, "CHUNK_BYTES", 48)
    monkeypatch.setattr(lines, "READ_BYTES", 7)
