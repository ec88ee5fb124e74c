"""S3 servers for tests, each a process of its own on the loopback; and a proxy that makes one fail."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "bucket"
ROOT = Path(__file__).parents[2]


def environment(url: str) -> dict[str, str]:
    """Return the variables that point every client at a server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def versitygw() -> str | None:
    """Return the server of docker-compose.yml as a program, where `scripts/s3_server.sh` has built it."""
    built = ROOT / ".tools" / "bin" / "versitygw"
    return str(built) if built.exists() else shutil.which("versitygw")


@contextmanager
def served(name: str, folder: Path) -> Iterator[str]:
    """Serve a bucket, and yield the server's address.

    Args:
        name: `moto`, in memory; or `versitygw`, whose files are in the folder.
        folder: For the server's files.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    more = {}
    if name == "moto":
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        ready = f"{url}/moto-api/data.json"
    else:
        program = versitygw()
        if program is None:
            pytest.skip("versitygw is not there: scripts/s3_server.sh builds it")
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            program,
            "--port",
            f"127.0.0.1:{port}",
            "--health",
            "/health",
            "posix",
            str(folder),
        ]
        ready = f"{url}/health"
        keys = environment(url)
        more = {
            "ROOT_ACCESS_KEY": keys["AWS_ACCESS_KEY_ID"],
            "ROOT_SECRET_KEY": keys["AWS_SECRET_ACCESS_KEY"],
        }
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **more}
    )
    try:
        _wait(ready)
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment(url).items():
                patch.setenv(variable, value)
            import boto3

            boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield url
    finally:
        server.terminate()
        server.wait()


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)


class FaultyProxy:
    """Passes requests on to a server, and fails some of them.

    A third of the failures are refusals to hurry (503), a third are errors of the server after it has done
    what was asked, so that the answer is lost, and a third are connections that are cut.

    Args:
        url: The server.
        share: Share of requests that fail.
        seed: Which.
    """

    def __init__(self, url: str, share: float, seed: int) -> None:
        self.failed = 0
        self._target = url.removeprefix("http://")
        self._share = share
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                proxy.pass_on(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815  # its base's names

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        # no client here sends a body in chunks; one that did would be cut off, not passed on half
        if "chunked" in (request.headers.get("Transfer-Encoding") or ""):
            self._answer(request, 411, _error("MissingContentLength", "Send a Content-Length."))
            return
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            fails = self._random.random() < self._share
            kind = self._random.choice(["slow down", "lost", "cut"]) if fails else ""
            self.failed += fails
        if kind == "cut":
            request.close_connection = True
            return
        if kind == "slow down":
            self._answer(request, 503, _error("SlowDown", "Please reduce your request rate."))
            return
        connection = http.client.HTTPConnection(self._target, timeout=60)
        try:
            connection.request(request.command, request.path, body, dict(request.headers))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if kind == "lost":
            self._answer(request, 500, _error("InternalError", "We encountered an error."))
            return
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection"}:
                request.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _answer(self, request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Type", "application/xml")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


def _error(code: str, message: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
