"""Fixtures of the doctor's tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("")
    return folder
