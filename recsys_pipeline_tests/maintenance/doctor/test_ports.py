from __future__ import annotations

import socket

from recsys_pipeline.maintenance.doctor.ports import check_port


def test_a_taken_port_is_a_warning():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert check_port(port).status == "warning"
    assert check_port(port).status == "ok"
