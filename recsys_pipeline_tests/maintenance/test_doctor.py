from __future__ import annotations

import ast
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from recsys_pipeline.cli.doctor import doctor
from recsys_pipeline.maintenance import doctor as checks
from recsys_pipeline.settings import Settings, get_settings, unknown_variables

NOON = datetime(2100, 1, 1, 12, tzinfo=UTC)  # after this file was written, whenever it is run


def settings(**values) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("")
    return folder


@pytest.fixture
def s3(monkeypatch):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    server.stop()


def test_python_of_another_version_is_wrong():
    assert checks.check_python((3, 11, 2)).status == "ok"
    for version in ((3, 10, 9), (3, 14, 0)):
        finding = checks.check_python(version)
        assert finding.status == "wrong"
        assert "make setup" in finding.fix


def test_a_missing_and_a_wrong_requirement_are_both_named():
    found = checks.check_requirements(
        ["polars<1", "no-such-package-here", "numpy>=1", 'gone; python_version < "3"']
    )
    assert found.status == "wrong"
    assert "polars" in found.found
    assert "no-such-package-here is not installed" in found.found
    assert "numpy" not in found.found
    assert "gone" not in found.found
    assert checks.check_requirements().status == "ok"


def test_pins_are_read_with_their_markers():
    text = (
        'a==1.0 ; python_full_version < "3.9" \\\n    --hash=sha256:0\n'
        'a==2.0 ; python_full_version >= "3.9" \\\n    --hash=sha256:1\n'
        "b-c==3.1.4 \\\n    --hash=sha256:2\nd==5\n"
    ).replace('"', "'")
    assert checks.read_pins(text) == {"a": "2.0", "b-c": "3.1.4", "d": "5"}


def test_a_version_that_differs_from_the_lock_is_named(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("polars==0.0.1 \\\n    --hash=sha256:0\nno-such-package-here==1\n")
    finding = checks.check_lock(lock)
    assert finding.status == "warning"
    assert "locked 0.0.1" in finding.found
    assert "no-such-package-here absent" in finding.found
    lock.write_text("")
    assert checks.check_lock(lock).status == "ok"
    assert checks.check_lock(tmp_path / "none").status == "ok"


def test_dagster_home(home, monkeypatch):
    assert checks.check_dagster_home(str(home)).status == "ok"
    (home / "dagster.yaml").unlink()
    bad = {
        "": "not set",
        "relative/home": "not an absolute path",
        str(home / "none"): "not a folder",
        str(home): "no dagster.yaml",
    }
    for value, words in bad.items():
        finding = checks.check_dagster_home(value)
        assert finding.status == "wrong"
        assert words in finding.found
        assert finding.fix
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert checks.check_dagster_home().status == "wrong"


def test_a_misspelt_variable_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_STORAGEROOT", "x")
    env = tmp_path / ".env"
    env.write_text("RECSYS_NEGATIV_RATIO=3\nRECSYS_SEED=1\nOTHER=1\n")
    unknown = unknown_variables(env)
    assert {"RECSYS_STORAGEROOT", "RECSYS_NEGATIV_RATIO"} <= set(unknown)
    assert "RECSYS_SEED" not in unknown
    assert "OTHER" not in unknown
    assert checks.check_settings(unknown).status == "warning"
    assert checks.check_settings([]).status == "ok"


def test_tenants(tmp_path):
    file = tmp_path / "tenants.toml"
    assert checks.check_tenants(settings(tenants_file=file)).status == "ok"
    assert checks.check_tenants(settings(tenants_file=file, auto_tenants=False)).status == "wrong"
    file.write_text("[tenants.acme]\nnegative_ratio = 3\n")
    finding = checks.check_tenants(settings(tenants_file=file))
    assert finding.status == "ok"
    assert "acme" in finding.found
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[tenants.acme]\nratio = 3\n")
    finding = checks.check_tenants(settings(tenants_file=wrong))
    assert finding.status == "wrong"
    assert "ratio" in finding.found


def test_local_storage_is_left_as_it_was(tmp_path):
    root = tmp_path / "not" / "yet"
    finding, stamp = checks.check_storage(settings(storage_root=str(root)))
    assert finding.status == "ok"
    assert abs(stamp - datetime.now(UTC)) < timedelta(minutes=1)
    assert list(tmp_path.iterdir()) == []


def test_storage_root_that_is_a_file_is_wrong(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for root in (file, file / "below"):
        finding, _ = checks.check_storage(settings(storage_root=str(root)))
        assert finding.status == "wrong"
        assert finding.fix
    assert file.read_text() == "x"


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "LOW_DISK_BYTES", 2**80)
    finding, _ = checks.check_storage(settings(storage_root=str(tmp_path)))
    assert finding.status == "warning"


def test_storage_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_probe_folder", lambda root: threading.Event().wait(30))
    began = time.monotonic()
    finding, _ = checks.check_storage(settings(storage_root=str(tmp_path)), seconds=0.2)
    assert time.monotonic() - began < 5
    assert finding.status == "wrong"
    assert "no answer" in finding.found


def test_s3_storage_is_left_as_it_was(s3):
    finding, stamp = checks.check_storage(settings(storage_root="s3://bucket/prefix"))
    assert finding.status == "ok", finding
    assert abs(stamp - datetime.now(UTC)) < timedelta(minutes=1)
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 0


def test_s3_without_bucket_or_server_is_wrong(s3, monkeypatch):
    finding, _ = checks.check_storage(settings(storage_root="s3://absent/prefix"))
    assert finding.status == "wrong"
    assert "NoSuchBucket" in finding.found
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    finding, _ = checks.check_storage(settings(storage_root="s3://bucket/prefix"))
    assert finding.status == "wrong"
    assert "127.0.0.1:1" in finding.found


def test_s3_that_ignores_conditional_puts_is_wrong(s3, monkeypatch):
    import boto3

    make = boto3.client

    def unconditional(*args, **kwargs):
        client = make(*args, **kwargs)
        put = client.put_object
        client.put_object = lambda IfNoneMatch, **rest: put(**rest)  # noqa: N803
        return client

    monkeypatch.setattr(boto3, "client", unconditional)
    finding, _ = checks.check_storage(settings(storage_root="s3://bucket/prefix"))
    assert finding.status == "wrong"
    assert "If-None-Match" in finding.found
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 0


def test_kafka_that_does_not_answer_is_wrong_within_the_bound():
    assert checks.check_kafka(settings()).status == "ok"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        finding = checks.check_kafka(settings(kafka_bootstrap_servers=address), seconds=1)
        assert time.monotonic() - began < 6
    assert finding.status == "wrong"
    assert address in finding.found


def test_kafka_that_answers_is_ok():
    from confluent_kafka import Producer

    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored:9092"})
    # The mock cluster's address shows only in its own metadata.
    broker = next(iter(mock.list_topics(timeout=10).brokers.values()))
    address = f"{broker.host}:{broker.port}"
    finding = checks.check_kafka(settings(kafka_bootstrap_servers=address))
    assert finding.status == "ok", finding
    assert "1 broker" in finding.found


def test_a_taken_port_is_a_warning():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert checks.check_port(port).status == "warning"
    assert checks.check_port(port).status == "ok"


def test_clock():
    fine = settings()
    assert checks.check_clock(fine, NOON, NOON).status == "ok"
    assert checks.check_clock(fine, NOON, None).status == "ok"
    assert checks.check_clock(fine, NOON, NOON + timedelta(minutes=6)).status == "wrong"
    assert checks.check_clock(fine, NOON, NOON - timedelta(minutes=6)).status == "wrong"
    assert checks.check_clock(fine, datetime(1999, 1, 1, tzinfo=UTC), None).status == "wrong"
    ahead = settings(start_date=NOON.date() + timedelta(days=1))
    assert checks.check_clock(ahead, NOON, NOON).status == "warning"


@pytest.fixture
def run(tmp_path, home, monkeypatch):
    app = typer.Typer()
    app.command()(doctor)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("RECSYS_STORAGE_ROOT", str(tmp_path / "data"))
    monkeypatch.delenv("RECSYS_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments))
    get_settings.cache_clear()


def test_the_command_prints_a_line_a_check_and_exits_0(run):
    result = run()
    assert result.exit_code == 0, result.output
    for word in ("python", "lock", "DAGSTER_HOME", "storage", "kafka", "port 3000", "clock"):
        assert word in result.output
    assert "0 wrong" in result.output


def test_the_command_exits_1_when_something_is_wrong(run, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "relative")
    result = run("--json")
    assert result.exit_code == 1
    findings = {entry["check"]: entry for entry in json.loads(result.output)}
    assert findings["DAGSTER_HOME"]["status"] == "wrong"
    assert findings["DAGSTER_HOME"]["fix"]
    assert findings["storage"]["status"] == "ok"


def test_a_wrong_setting_is_a_finding_and_no_traceback(run, monkeypatch):
    monkeypatch.setenv("RECSYS_NEGATIVE_RATIO", "many")
    result = run()
    assert result.exit_code == 1
    assert "RECSYS_NEGATIVE_RATIO" in result.output
    assert isinstance(result.exception, SystemExit)


def test_every_fault_says_what_to_do():
    calls = [
        node
        for node in ast.walk(ast.parse(Path(checks.__file__).read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding"
    ]
    faults = [call for call in calls if getattr(call.args[1], "value", "") in {"wrong", "warning"}]
    assert len(faults) >= 10
    assert [call.lineno for call in faults if len(call.args) != 4] == []
