"""Every command of the README, pasted into a bare shell, in the order of the page."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from recsys_pipeline_tests.kafka.mock_broker import MockBroker

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# a command that stays in the foreground says so to the reader, and so to this test
STAYS = "(Ctrl-C ends it)"
RUNS = re.compile(r"recsys run|dagster asset materialize|dg launch|dagster job backfill|make demo")
END = "@@@ "


def commands() -> list[str]:
    """Return the lines of the README's shell blocks."""
    text = "".join(FENCE.findall(README)).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


class Shell:
    """A bare shell that is fed one line after the other."""

    def __init__(self, folder: Path, home: Path, port: int) -> None:
        self._process = subprocess.Popen(
            [
                "env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", f"PORT={port}",
                "RECSYS_KAFKA_TOPIC_IDS=false",  # the broker of the test has none
                "bash", "--noprofile", "--norc",
            ],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def run(self, line: str) -> tuple[int, str]:
        """Run a line to its end; return its exit code and all that it printed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\nprintf '\\n{END}%s\\n' $?\n")
        self._process.stdin.flush()
        printed: list[str] = []
        for read in self._process.stdout:
            if read.startswith(END):
                return int(read.removeprefix(END)), "".join(printed)
            printed.append(read)
        raise AssertionError(f"the shell ended at {line}:\n{''.join(printed)}")

    def close(self) -> None:
        """End the shell."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


class Server:
    """A command that stays in the foreground, in a terminal of its own."""

    def __init__(self, line: str, folder: Path, home: Path, port: int) -> None:
        self._line = line
        self._log = folder.parent / "server.log"
        # a test run in the background has Ctrl-C ignored, which every child would inherit
        bare = ["env", "-i", "--default-signal=INT", f"HOME={home}", "PATH=/usr/bin:/bin"]
        self._process = subprocess.Popen(
            [*bare, f"PORT={port}", f"RECSYS_API_PORT={port}", "bash", "-c", line],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._port = port

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + 150
        while time.monotonic() < until:
            assert self._process.poll() is None, self.log
            try:
                path = "health/live" if "make serve" in self._line else "server_info"
                address = f"http://127.0.0.1:{self._port}/{path}"
                with urllib.request.urlopen(address, timeout=5):
                    return
            except OSError:
                time.sleep(0.5)
        raise AssertionError(f"nothing answers on port {self._port}:\n{self.log}")

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text("utf-8")

    def stop(self) -> None:
        """Press Ctrl-C; every process of its own must end."""
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def statuses(folder: Path) -> list[str]:
    """Return the statuses of all runs that the copy's Dagster instance has recorded."""
    database = folder / ".dagster" / "history" / "runs.db"
    if not database.exists():
        return []
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
        return [status for (status,) in connection.execute("select status from runs order by id")]


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the repository with an environment of its own."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the files to copy are those that git knows")
    folder = tmp_path_factory.mktemp("readme") / "recsys pipeline"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("RECSYS_", "DAGSTER_"))}
    for name in ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        bare.pop(name, None)
    subprocess.run(["make", "setup"], cwd=folder, env=bare, check=True, timeout=300)
    return folder


def test_the_readme_has_the_commands_of_each_tool():
    text = "\n".join(commands())
    for needed in (
        "make demo", "make dev", "dev.env", "recsys generate", "recsys ingest", "recsys run",
        "recsys status", "recsys batches", "recsys quarantine", "recsys doctor",
        "dagster asset materialize", "--partition-range", "dagster job backfill", "dg check defs",
        "dg list defs", "dg launch", "recsys produce", "recsys kafka", "make serve", "recsys keys",
        "recsys release", "iter_batches",
    ):  # fmt: skip
        assert needed in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_works_and_every_run_is_recorded(copy, tmp_path):
    port = free_port()
    broker = MockBroker()
    shell = Shell(copy, tmp_path, port)
    server: Server | None = None
    try:
        for written in commands():
            line = written.replace("127.0.0.1:9092", broker.bootstrap)
            line = line.replace("127.0.0.1:8002", f"127.0.0.1:{port}")
            before = statuses(copy)
            if line.startswith("curl") and shutil.which("curl", path="/usr/bin:/bin") is None:
                continue  # the reader's own tool
            if STAYS in line:
                if server:
                    server.stop()
                server = Server(line, copy, tmp_path, port)
                server.wait()
                assert "Error" not in server.log
                assert "Warning" not in server.log
                continue
            code, printed = shell.run(line)
            assert code == 0, f"{line}\n{printed}"
            assert "Traceback" not in printed, f"{line}\n{printed}"
            assert "Deprecat" not in printed, f"{line}\n{printed}"
            if not RUNS.match(line):
                assert statuses(copy) == before, line
            elif "backfill" in line:
                assert server, "a backfill needs the daemon of `make dev`"
                _wait_for_success(copy, len(before) + 1)
            else:
                made = statuses(copy)[len(before) :]
                assert made, f"no run was recorded by {line}\n{printed}"
                assert set(made) == {"SUCCESS"}, f"{line}\n{printed}"
    finally:
        shell.close()
        broker.close()
        if server:
            server.stop()


def _wait_for_success(folder: Path, count: int) -> None:
    until = time.monotonic() + 200
    while time.monotonic() < until:
        found = statuses(folder)
        assert "FAILURE" not in found
        if len(found) >= count and set(found) == {"SUCCESS"}:
            return
        time.sleep(1)
    raise AssertionError(f"the runs of the backfill did not end: {statuses(folder)}")


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_and_paths_of_the_documentation_exist(page):
    text = (ROOT / page).read_text("utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    for link in links:
        if link and "://" not in link:
            assert (ROOT / page).parent.joinpath(link).exists(), link
    # paths are given from the repository's root or from one of its two packages
    bases = (ROOT, ROOT / "recsys_pipeline", ROOT / "recsys_pipeline_tests")
    for path in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|toml|md|sh|yaml))`", text):
        assert any((base / path).exists() for base in bases), path
