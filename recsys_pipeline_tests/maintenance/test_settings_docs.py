from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from recsys_pipeline.maintenance.settings_docs import main, render_env_example, render_page
from recsys_pipeline.settings import Settings
from recsys_pipeline.tenants import TenantOverrides, overrides

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_recsys_variables(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RECSYS_{name.upper()}", raising=False)


def test_the_files_in_the_repository_are_those_that_make_docs_writes(tmp_path):
    main(tmp_path)
    for name in ("docs/settings.md", ".env.example"):
        assert (ROOT / name).read_text("utf-8") == (tmp_path / name).read_text("utf-8"), (
            f"{name} is not what the Settings class says: run `make docs`"
        )


def test_env_example_with_every_line_taken_in_gives_the_defaults(tmp_path):
    lines = render_env_example().splitlines()
    taken = [line.removeprefix("# ") for line in lines if re.match(r"# RECSYS_\w+=", line)]
    unset = [name for name, field in Settings.model_fields.items() if field.default is None]
    assert len(taken) + len(unset) == len(Settings.model_fields)
    env = tmp_path / "env"
    env.write_text("\n".join(taken), "utf-8")
    assert Settings(_env_file=env) == Settings(_env_file=None)


def test_every_setting_and_tenant_key_is_described():
    page = render_page()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert page.count(f"`RECSYS_{name.upper()}`") >= 1
    for name in TenantOverrides.model_fields:
        assert f"| `{name}` |" in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert all("None" not in row for row in rows)


def test_tenants_example_is_valid_and_shows_every_key():
    example = ROOT / "tenants.example.toml"
    tables = overrides(Settings(_env_file=None, tenants_file=example))
    assert set(tables) == {"acme", "demo"}
    shown = set(tomllib.loads(example.read_text("utf-8"))["tenants"]["acme"])
    assert shown == set(TenantOverrides.model_fields)
