"""The same landing gives the same bytes on a local disk and on S3, also where S3 fails now and then."""

from __future__ import annotations

import uuid

import boto3
import pytest
import s3fs

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.settings import s3_encryption
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline_tests.conformance.s3_servers import (
    BUCKET,
    FaultyProxy,
    environment,
    served,
)
from recsys_pipeline_tests.conformance.through import run_through
from recsys_pipeline_tests.landed import all_days, event, land, run_days, settings_for


@pytest.fixture
def use(monkeypatch):
    """Return a function that points every client at a server, until the end of the test."""

    def point(url: str) -> None:
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        # a client of another address would be found again
        s3fs.S3FileSystem.clear_instance_cache()

    yield point
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
def test_the_bytes_are_those_of_a_local_disk(tmp_path, use):
    with served("versitygw", tmp_path / "served") as url:
        use(url)
        there = run_through(f"s3://{BUCKET}/{uuid.uuid4().hex}", tmp_path / "there.db")
    here = run_through(str(tmp_path / "here"), tmp_path / "here.db")
    assert there == here


@pytest.mark.slow
def test_failures_of_the_server_are_got_over(tmp_path, use):
    with served("moto", tmp_path) as url, FaultyProxy(url, share=0.03, seed=4) as proxy:
        use(proxy.url)
        root = f"s3://{BUCKET}/{uuid.uuid4().hex}"
        there = run_through(root, tmp_path / "there.db")
        landed = Landing(root, "interactions").snapshot().scan().collect()
        assert proxy.failed > 10
    here = run_through(str(tmp_path / "here"), tmp_path / "here.db")
    assert there == here
    assert landed.select("batch_id", "position").is_duplicated().sum() == 0


def test_a_lease_whose_answer_was_lost_is_held(s3_bucket, monkeypatch):
    store = open_store(f"{s3_bucket}/{uuid.uuid4().hex}")
    real = s3fs.S3FileSystem.call_s3
    lost = []

    def call(fs, method, *arguments, **more):
        answer = real(fs, method, *arguments, **more)
        if method == "put_object" and more.get("IfNoneMatch") and not lost:
            lost.append(answer)
            return real(fs, method, *arguments, **more)  # what a client does that got no answer
        return answer

    monkeypatch.setattr(s3fs.S3FileSystem, "call_s3", call)
    with store.lock("name") as held:
        held.confirm()
    assert lost


@pytest.mark.slow
def test_everything_is_encrypted_as_asked(s3_bucket, monkeypatch):
    monkeypatch.setenv("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms")
    monkeypatch.setenv("AWS_SSE_KMS_KEY_ID", "a-key")
    folder = uuid.uuid4().hex
    root = f"{s3_bucket}/{folder}"
    land(root, [event(day=n, kind="click") for n in range(2)], "a")
    Landing(root, "interactions").compact()
    run_days(settings_for(root, state_rows=1), all_days(2))
    client = boto3.client("s3")
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=folder)["Contents"]
    heads = {one["Key"]: client.head_object(Bucket=BUCKET, Key=one["Key"]) for one in listed}
    assert len(heads) > 20
    plain = [key for key, head in heads.items() if head.get("ServerSideEncryption") != "aws:kms"]
    assert plain == []
    assert {head["SSEKMSKeyId"].rpartition("/")[2] for head in heads.values()} == {"a-key"}


def test_an_encryption_that_there_is_not_is_said(monkeypatch):
    monkeypatch.setenv("AWS_SERVER_SIDE_ENCRYPTION", "rot13")
    with pytest.raises(SettingsError, match="AWS_SERVER_SIDE_ENCRYPTION"):
        s3_encryption()
