"""A service that is killed again and again while callers upload to it.

Every upload that was answered 2xx is landed exactly once, and no other one is half there; those that
were not answered are sent again under their keys, and then are.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recsys_pipeline.storage.landing import Landing

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 40
CALLERS = 3
START_SECONDS = 60


@dataclass
class Service:
    """The service as a process of its own, over a root that outlives it."""

    root: Path
    broken: str | None = None
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    odd: list[str] = field(default_factory=list)

    def start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = os.environ | {
            "RECSYS_STORAGE_ROOT": str(self.root / "data"),
            "RECSYS_METADATA_URL": f"sqlite:///{self.root}/metadata.db",
            "RECSYS_TENANTS_FILE": str(self.root / "none.toml"),
            "RECSYS_API_AUTH": "none",
            "RECSYS_API_REQUESTS_PER_MINUTE": "1000000",
        }
        code = "from recsys_pipeline.cli.main import main; main()"
        if self.broken is not None:
            defects = "from recsys_pipeline_tests.faults.defects import DEFECTS"
            code = f"{defects}; DEFECTS[{self.broken!r}](); {code}"
        command = [sys.executable, "-c", code]
        self.process = subprocess.Popen(
            [*command, "serve", "--port", str(self.port)],
            env=environment,
            cwd=self.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live").close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("the service did not start")

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def post(self, number: int) -> dict | None:
        """Upload; return the answer, or None where none came."""
        rows = [
            {
                "user_id": f"u{number}",
                "item_id": f"i{n}",
                "interaction_type": "view",
                "timestamp": f"2025-01-{1 + n % 9:02d}T10:00:{n:02d}Z",
            }
            for n in range(ROWS)
        ]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/internal/data/interactions",
            data=json.dumps(rows).encode(),
            headers={
                "X-Tenant": "acme",
                "Idempotency-Key": f"upload-{number}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in {429, 503}:
                self.odd.append(f"{error.code} {error.read()!r}")
            return None
        except (OSError, ValueError, http.client.HTTPException):
            return None


@dataclass
class Outcome:
    """How a schedule ended.

    Attributes:
        answered: Uploads that were answered 2xx while the service was killed again and again.
        unanswered: Those that were not.
        lost: Numbers of uploads that were answered and have not landed.
        doubled: Those that landed more than once.
        torn: Those of which only some rows landed.
        other: Those that were answered something else when they came again.
    """

    answered: int = 0
    unanswered: int = 0
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    torn: list[int] = field(default_factory=list)
    other: list[int] = field(default_factory=list)


def run(root: Path, kills: int, seed: int, broken: str | None = None) -> Outcome:
    """Upload under kills at random moments, and tell what became of every upload.

    Args:
        root: A folder that outlives the service.
        kills: How often it is killed.
        seed: Of the moments.
        broken: A defect of `defects` for the service.
    """
    random_ = random.Random(seed)
    service = Service(root, broken)
    answers: dict[int, dict] = {}
    sent: list[int] = []
    lock = threading.Lock()
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            with lock:
                number = len(sent)
                sent.append(number)
            answer = service.post(number)
            if answer is None:
                over.wait(0.02)
            else:
                answers[number] = answer

    for _ in range(kills):
        service.start()
        over.clear()
        callers = [threading.Thread(target=call) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        time.sleep(random_.uniform(0.05, 1.2))
        service.kill()
        over.set()
        for caller in callers:
            caller.join()
    outcome = Outcome(len(answers), len(sent) - len(answers))
    _judge(root, answers, set(sent), outcome, whole=False)
    service.start()
    try:
        for number in set(sent) - set(answers):
            answer = service.post(number)
            assert answer is not None, number
            answers[number] = answer
        for number in random_.sample(sorted(answers), min(20, len(answers))):
            again = service.post(number)
            if again != answers[number]:
                outcome.other.append(number)
    finally:
        service.kill()
    _judge(root, answers, set(sent), outcome, whole=True)
    assert service.odd == []
    return outcome


def _judge(
    root: Path, answers: dict[int, dict], sent: set[int], outcome: Outcome, *, whole: bool
) -> None:
    rows = Landing(str(root / "data"), "interactions").snapshot().scan().collect()
    counts = {int(user[1:]): n for user, n in rows["user_id"].value_counts().iter_rows()}
    assert set(counts) <= sent
    for number in sent:
        count = counts.get(number, 0)
        if count > ROWS:
            outcome.doubled.append(number)
        elif 0 < count < ROWS:
            outcome.torn.append(number)
        elif count == 0 and (whole or number in answers):
            outcome.lost.append(number)
