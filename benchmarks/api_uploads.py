"""Uploads to `recsys serve` from a process of its own, over loopback.

Run: .venv/bin/python -m benchmarks.api_uploads

A CSV file of a million rows, from request to durable landing, five services that take turns with the
size; and small JSON posts from four callers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import psutil

from benchmarks.data import FOLDER, START
from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.generate import generate

CALLERS = 4
POSTS = 50


class Service:
    """`recsys serve` over an empty root, and the most memory that it held."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = os.environ | {
            "RECSYS_STORAGE_ROOT": str(folder / "data"),
            "RECSYS_METADATA_URL": f"sqlite:///{folder}/metadata.db",
            "RECSYS_API_AUTH": "none",
            "RECSYS_API_REQUESTS_PER_MINUTE": "1000000",
        }
        command = [str(Path(sys.executable).parent / "recsys"), "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health/live").close()  # noqa: S310
                break
            except OSError:
                time.sleep(0.05)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> float:
        """Return what it holds now, in MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def most(self) -> float:
        """Return the most that it has held, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def csv_file(rows: int) -> Path:
    """Return a generated CSV file of events."""
    folder = FOLDER / f"csv-{rows}"
    target = folder / "interactions.csv"
    if not target.exists():
        config = GeneratorConfig(
            users=max(rows // 10, 100),
            items=20_000,
            events=rows,
            start=START,
            days=30,
            event_ids=False,
        )
        generate(config, folder)
    return target


def send(service: Service, path: Path) -> float:
    """Upload a file by curl; return the seconds."""
    command = ["curl", "-sS", "--fail-with-body", "-H", "X-Tenant: acme", "-F", f"file=@{path}"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "-F", "data_type=interactions", f"{service.url}/internal/data/upload-csv"],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - began
    assert json.loads(done.stdout)["rows_rejected"] == 0  # noqa: S101
    return seconds


def small_posts(service: Service, name: str) -> list[float]:
    """Post ten rows at a time from several callers; return the seconds of each post."""
    taken: list[float] = []

    def call(caller: int) -> None:
        for number in range(POSTS):
            rows = [
                {
                    "user_id": f"{name}-{caller}-{number}",
                    "item_id": f"i{n}",
                    "interaction_type": "view",
                    "timestamp": "2025-01-01T10:00:00Z",
                }
                for n in range(10)
            ]
            request = urllib.request.Request(  # noqa: S310
                f"{service.url}/internal/data/interactions",
                json.dumps(rows).encode(),
                {"X-Tenant": "acme", "Content-Type": "application/json"},
            )
            began = time.perf_counter()
            urllib.request.urlopen(request).close()  # noqa: S310
            taken.append(time.perf_counter() - began)

    callers = [threading.Thread(target=call, args=(n,)) for n in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    FOLDER.mkdir(exist_ok=True)
    for rows in (1_000_000, 4_000_000):
        path, rates, extra = csv_file(rows), [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                service = Service(Path(folder))
                send(service, csv_file(1000))
                before = service.memory()
                rates.append(rows / send(service, path))
                extra.append(service.most() - before)
                service.stop()
        size = path.stat().st_size / 2**20
        print(
            f"CSV of {rows:,} rows ({size:.0f} MiB): {statistics.median(rates):,.0f} rows/s, "
            f"{statistics.median(extra):.0f} MiB above the idle service"
        )
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        small_posts(service, "first")
        began = time.perf_counter()
        taken = sorted(small_posts(service, "second"))
        spent = time.perf_counter() - began
        service.stop()
    print(
        f"JSON posts of 10 rows, {CALLERS} callers: {len(taken) / spent:.0f} requests/s, "
        f"p50 {1000 * taken[len(taken) // 2]:.0f} ms, p99 {1000 * taken[int(len(taken) * 0.99)]:.0f} ms"
    )


if __name__ == "__main__":
    main()
