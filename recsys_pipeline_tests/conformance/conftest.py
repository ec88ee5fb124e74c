"""Roots on which storage must behave alike: a local folder, and S3 served by moto."""

from __future__ import annotations

import uuid

import pytest

from recsys_pipeline_tests.conformance.s3_servers import BUCKET, environment, served


@pytest.fixture(scope="session")
def s3_bucket(tmp_path_factory):
    """A bucket on a moto server in its own process, which the `AWS_*` variables point at."""
    with (
        served("moto", tmp_path_factory.mktemp("moto")) as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment(url).items():
            patch.setenv(name, value)
        yield f"s3://{BUCKET}"


@pytest.fixture(params=["local", "s3"])
def root(request, tmp_path) -> str:
    """An empty storage root."""
    if request.param == "local":
        return str(tmp_path / "store of data")
    return f"{request.getfixturevalue('s3_bucket')}/{uuid.uuid4().hex}"
