"""The service on a port of its own, for clients that want a real one."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import uvicorn

from recsys_pipeline.api import connections


@contextmanager
def served(app):
    """Serve an app on a port of its own, on the connections that `recsys serve` has."""
    config = uvicorn.Config(app, port=0, http=connections.Patient, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
