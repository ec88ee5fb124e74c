"""`recsys generate --upload` fills a service."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from recsys_pipeline.api.app import create_app
from recsys_pipeline.api.uploads import land as real
from recsys_pipeline.cli import upload
from recsys_pipeline.cli.generate import generate
from recsys_pipeline.errors import LandingError, ServiceError, SettingsError
from recsys_pipeline.metadata.keys import create_key
from recsys_pipeline_tests.api.conftest import settings  # noqa: F401
from recsys_pipeline_tests.api.serving import served
from recsys_pipeline_tests.api.test_uploads import landed

GENERATED = ["--start", "2025-01-01", "--days", "3", "--users", "30", "--items", "40"]

app = typer.Typer()
app.command()(generate)


@pytest.fixture
def service(settings, monkeypatch):  # noqa: F811
    """A service's address, with a key of `acme` in the settings."""
    made = create_app(settings)
    _, key = create_key(made.state.context.database, "acme", ["upload"])
    own = settings.model_copy(update={"upload_key": SecretStr(key)})
    monkeypatch.setattr("recsys_pipeline.settings.get_settings", lambda: own)
    with served(made) as port:
        yield f"http://127.0.0.1:{port}"


def run(tmp_path, *options):
    folder = ["--out", str(tmp_path / "g"), "--events", "300", "--tenant", "acme"]
    return CliRunner().invoke(app, [*GENERATED, *folder, *options])


@pytest.mark.parametrize(
    "options",
    [["--format", "csv"], ["--format", "csv", "--compress", "gzip"], ["--format", "jsonl"]],
)
def test_a_service_is_filled(service, settings, tmp_path, options):  # noqa: F811
    result = run(tmp_path, "--dirty", "0.05", "--upload", service, *options)
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.output.index("items:") < result.output.index("interactions:")
    assert "recsys ingest" not in result.output
    bad = Counter(json.loads(line)["file"] for line in (tmp_path / "g/injected.jsonl").open())
    for kind, rows in (("interactions", 300), ("items", 40)):
        extra = sum(n for name, n in bad.items() if name.startswith(kind))
        assert landed(settings, kind).height == rows + extra
    again = run(tmp_path, "--dirty", "0.05", "--upload", service, *options)
    assert again.output.count("had landed before") == 2


def test_a_key_that_does_not_work_is_said(service, settings, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("recsys_pipeline.settings.get_settings", lambda: settings)
    result = run(tmp_path, "--upload", service)
    assert isinstance(result.exception, ServiceError)
    assert "answers 401" in str(result.exception)
    assert "RECSYS_UPLOAD_KEY" in str(result.exception)
    assert landed(settings).is_empty()


def test_a_busy_service_is_asked_again(service, settings, tmp_path, monkeypatch):  # noqa: F811
    waits: list[float] = []

    def free_place(seconds):
        waits.append(seconds)
        monkeypatch.setattr("recsys_pipeline.api.uploads.land", real)

    def busy(*_):
        raise LandingError("raw_items", "is being written")

    monkeypatch.setattr("recsys_pipeline.api.uploads.land", busy)
    monkeypatch.setattr(upload.time, "sleep", free_place)
    result = run(tmp_path, "--upload", service)
    assert result.exit_code == 0, result.exception
    assert waits == [1.0]


@pytest.mark.parametrize(
    "options",
    [
        ["--upload", "localhost:8002"],
        ["--upload", "http://x", "--format", "parquet"],
        ["--upload", "http://x", "--compress", "zstd"],
    ],
)
def test_nothing_is_generated_that_could_not_be_sent(tmp_path, options):
    result = run(tmp_path, *options)
    assert isinstance(result.exception, SettingsError)
    assert not (tmp_path / "g").exists()


def test_no_service_is_one_clear_error(tmp_path, use_root):
    use_root(tmp_path / "root")
    result = run(tmp_path, "--upload", "http://127.0.0.1:1")
    assert isinstance(result.exception, ServiceError)
    assert "does not answer" in str(result.exception)
