from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from recsys_pipeline.cli.generate import generate
from recsys_pipeline.errors import SettingsError, TenantError

app = typer.Typer()
app.command()(generate)
SMALL = ["--events", "500", "--items", "50", "--users", "30", "--days", "5", "--end", "2025-01-05"]


def test_a_short_summary_and_the_next_command(tmp_path):
    out = tmp_path / "o"
    done = CliRunner().invoke(
        app, ["--out", str(out), *SMALL, "--dirty", "0.05", "--tenant", "acme"]
    )
    assert done.exit_code == 0, done.output
    assert "2025-01-01 to 2025-01-05, 5 days" in done.output
    assert f"recsys ingest interactions {out}/interactions.csv --tenant acme\n" in done.output
    assert f"recsys ingest items {out}/items.csv --tenant acme\n" in done.output
    assert f"Bad rows are listed in {out}/injected.jsonl\n" in done.output
    assert "the window is not over" not in done.output
    assert sorted(p.name for p in out.iterdir()) == [
        "injected.jsonl",
        "interactions.csv",
        "items.csv",
    ]


def test_the_options_reach_the_files(tmp_path):
    options = ["--format", "jsonl", "--compress", "gzip", "--types", "click=1", "--no-event-ids"]
    done = CliRunner().invoke(app, ["--out", str(tmp_path), *SMALL, *options])
    assert done.exit_code == 0, done.output
    assert {p.name for p in tmp_path.iterdir()} == {"interactions.jsonl.gz", "items.jsonl.gz"}


def test_a_window_in_the_future_is_told(tmp_path):
    done = CliRunner().invoke(
        app, ["--out", str(tmp_path), "--start", "2150-01-01", "--days", "2", "--events", "10"]
    )
    assert "timestamp.not_future" in done.output


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--tenant", "No Name"], TenantError),
        (["--types", "buy=1"], SettingsError),
        (["--dirty", "0.5"], SettingsError),
    ],
)
def test_bad_options_write_nothing(tmp_path, options, error):
    out = tmp_path / "o"
    done = CliRunner().invoke(app, ["--out", str(out), *SMALL, *options])
    assert isinstance(done.exception, error)
    assert not out.exists()
