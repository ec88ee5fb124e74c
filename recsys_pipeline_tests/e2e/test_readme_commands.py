"""Every command of the README, pasted into a bare shell in a fresh copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKES_RUNS = {"recsys run", "dagster asset materialize", "dg launch", "dagster job backfill"}


def commands() -> list[str]:
    """Return the lines of the README's shell blocks, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readme_has_the_commands_of_each_front_end():
    lines = "\n".join(commands())
    assert lines.startswith("source dev.env")
    for name in (*MAKES_RUNS, "recsys ingest", "recsys generate", "dg check defs", "dg list defs"):
        assert name in lines


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_works_in_a_bare_shell(tmp_path):
    copy = tmp_path / "a fresh copy"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    # nothing of this shell but its search path, less this project's environment
    path = [p for p in os.environ["PATH"].split(":") if not p.startswith(str(ROOT))]
    bare = {"HOME": str(tmp_path), "PATH": ":".join(path), "LANG": "C.UTF-8"}
    bare |= {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "UV_", "SSL_"))}
    script = "\n".join(
        ["set -e", "make setup", *(f"echo '+' {n}; {c}" for n, c in enumerate(commands()))]
    )
    done = subprocess.run(
        ["bash"],
        input=script + "\npython -m recsys_pipeline_tests.e2e.count_runs\n",
        cwd=copy,
        env=bare,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    runs = dict(re.findall(r"^runs (\w+) (\d+)$", done.stdout, re.MULTILINE))
    # recsys run, two dagster asset materialize and one dg launch have ended; the backfill waits
    # for the daemon
    assert int(runs["SUCCESS"]) == 4
    assert int(runs["QUEUED"]) == 2
    assert "Deprecat" not in done.stderr
