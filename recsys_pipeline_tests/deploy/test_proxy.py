"""The proxy's own files under a real nginx: who signs in reaches the right webserver, nobody else any."""

from __future__ import annotations

import base64
import http.server
import shutil
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from recsys_pipeline_tests.deploy.processes import ROOT, free_port, wait_until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
PASSWORDS = {"operator": "0p", "viewer": "v1"}


class Webserver(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = f"{self.server.name} {self.headers.get('Authorization')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def proxy(tmp_path):
    """The address of nginx with the templates filled in as its image does."""
    if NGINX is None:
        pytest.skip("no nginx on this machine")
    port = free_port()
    config = (ROOT / "deploy/proxy/default.conf.template").read_text("utf-8")
    users = (ROOT / "deploy/proxy/users.template").read_text("utf-8")
    for user, password in PASSWORDS.items():
        users = users.replace(f"${{{user.upper()}_PASSWORD}}", password)
    servers = []
    for service in ("webserver", "viewer"):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webserver)
        server.name = service
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        assert f" {service}:3000;" in config
        config = config.replace(f"{service}:3000", f"127.0.0.1:{server.server_port}")
    config = config.replace("listen 3000;", f"listen 127.0.0.1:{port};")
    config = config.replace("/etc/nginx/conf.d/users", str(tmp_path / "users"))
    (tmp_path / "users").write_text(users)
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; worker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{config}\n}}\n"
    )
    tmp_path.chmod(0o755)
    command = [NGINX, "-c", tmp_path / "nginx.conf", "-p", tmp_path, "-g", "user root;"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until("nginx", 10, lambda: answer(f"{address}/health")[0] == 200, tmp_path / "log")
        yield address
    finally:
        process.terminate()
        process.wait(10)
        for server in servers:
            server.shutdown()
            server.server_close()


def answer(address, user=None, password=None) -> tuple[int, str]:
    """Return the status and the text; status 0 for no answer."""
    request = urllib.request.Request(address)
    if user is not None:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    try:
        with urllib.request.urlopen(request, timeout=5) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def test_each_user_reaches_one_webserver_and_strangers_none(proxy):
    assert answer(f"{proxy}/graphql", "operator", "0p") == (200, "webserver None")
    assert answer(f"{proxy}/graphql", "viewer", "v1") == (200, "viewer None")
    for user, password in [
        (None, None), ("operator", "v1"), ("viewer", "0p"), ("operator", ""), ("", ""), ("x", "x"),
    ]:  # fmt: skip
        assert answer(f"{proxy}/graphql", user, password)[0] == 401, user
    assert answer(f"{proxy}/health/../graphql")[0] == 401
    assert answer(f"{proxy}/healthy")[0] == 401
