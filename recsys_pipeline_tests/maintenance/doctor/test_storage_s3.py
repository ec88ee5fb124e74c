from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recsys_pipeline.maintenance.doctor.storage import check_storage
from recsys_pipeline_tests.maintenance.doctor.bare_settings import settings


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


def test_s3_storage_is_left_as_it_was(s3):
    finding, stamp = check_storage(settings(storage_root="s3://bucket/prefix"))
    assert finding.status == "ok", finding
    assert abs(stamp - datetime.now(UTC)) < timedelta(minutes=1)
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 0


def test_s3_without_bucket_or_server_is_wrong(s3, monkeypatch):
    finding, _ = check_storage(settings(storage_root="s3://absent/prefix"))
    assert finding.status == "wrong"
    assert "NoSuchBucket" in finding.found
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    finding, _ = check_storage(settings(storage_root="s3://bucket/prefix"))
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
    finding, _ = check_storage(settings(storage_root="s3://bucket/prefix"))
    assert finding.status == "wrong"
    assert "If-None-Match" in finding.found
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 0
