"""The processes of a deployment, each in a group of its own, with the files of `deploy/`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# the loopback too, and like a container's name none that says so: its runs have to be asked for
CODE_HOST = "127.0.0.2"


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what: str, seconds: float, ask: Callable[[], Any], log: Path | None = None) -> Any:
    """Ask until the answer is true, and return it."""
    until = time.monotonic() + seconds
    while not (answer := ask()):
        said = log.read_text("utf-8")[-3000:] if log else ""
        assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s\n{said}"
        time.sleep(0.3)
    return answer


class Process:
    """A command of docker-compose.yml; killed with all that it has started."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self.log = folder / f"{command[0]}-{free_port()}.log"
        self._command, self._folder, self._env = command, folder, env
        self.start()

    def start(self) -> None:
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [BIN / self._command[0], *self._command[1:]],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)


class Deployment:
    """Code server, webserver and daemon, with the commands and files that the containers have.

    Args:
        home: An empty folder, which becomes DAGSTER_HOME.
        services: Those of docker-compose.yml.
        env: What the containers get, with addresses on this machine.
    """

    def __init__(self, home: Path, services: dict[str, Any], env: dict[str, str]) -> None:
        self.home = home
        self.env = {**os.environ, **env, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.code_port, self.web_port = free_port(), free_port()
        self._services = services
        self._all: list[Process] = []
        shutil.copy(ROOT / "deploy" / "dagster.yaml", home)
        workspace = (ROOT / "deploy" / "workspace.yaml").read_text("utf-8")
        for theirs, ours in (("host: code", f"host: {CODE_HOST}"), ("4000", str(self.code_port))):
            assert theirs in workspace
            workspace = workspace.replace(theirs, ours)
        (home / "workspace.yaml").write_text(workspace, "utf-8")

    def start(self, service: str, port: int | None = None, host: str = "127.0.0.1") -> Process:
        """Start a service's command, on the loopback."""
        words = list(self._services[service]["command"])
        if port is not None:
            words[words.index("-p") + 1] = str(port)
            words[words.index("-h") + 1] = host
        process = Process(words, self.home, self.env)
        self._all.append(process)
        return process

    def kill(self) -> None:
        for process in self._all:
            process.kill()

    def ask(self, query: str, port: int | None = None, **variables: Any) -> dict[str, Any]:
        """Return the answer of the webserver's GraphQL."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        address = f"http://127.0.0.1:{port or self.web_port}/graphql"
        request = urllib.request.Request(
            address, body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def is_up(self, port: int | None = None) -> bool:
        try:
            urllib.request.urlopen(
                f"http://127.0.0.1:{port or self.web_port}/server_info", timeout=5
            ).close()
        except (urllib.error.URLError, OSError):
            return False
        return True
