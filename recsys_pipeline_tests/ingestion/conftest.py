"""Fixtures of the ingestion tests."""

from __future__ import annotations

import pytest

from recsys_pipeline.ingestion.readers import json_array, lines
from recsys_pipeline_tests.landed import START, settings_for


@pytest.fixture
def settings(tmp_path):
    """Settings with an empty local storage root."""
    assert START.year == 2025
    return settings_for(tmp_path / "store")


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Chunks of a few bytes, so that every boundary is met."""
    for module in (lines, json_array):
        monkeypatch.setattr(module, "CHUNK_BYTES", 48)
    monkeypatch.setattr(lines, "READ_BYTES", 7)
