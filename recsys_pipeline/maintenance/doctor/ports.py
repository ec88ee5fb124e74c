"""The ports of the project's own servers."""

from __future__ import annotations

import socket

from recsys_pipeline.maintenance.doctor.finding import Finding

PORTS = {3000: "the Dagster UI", 8002: "the upload API"}


def check_port(port: int) -> Finding:
    """See that a port of the loopback is free."""
    name = f"port {port}"
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            return Finding(
                name,
                "warning",
                f"is taken ({error.strerror})",
                f"Stop what listens there, unless it is {PORTS.get(port, 'ours')} already",
            )
    return Finding(name, "ok", f"free for {PORTS.get(port, 'a server')}")
