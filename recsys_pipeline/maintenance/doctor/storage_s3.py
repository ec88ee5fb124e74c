"""A storage root on S3."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from recsys_pipeline.maintenance.doctor.finding import Finding


def probe_s3(root: str) -> tuple[Finding, datetime | None]:
    """Write, read and delete an object below the prefix, and see that conditional PUT holds.

    Returns:
        The finding, and the time that the store answered with (None where it gave none).

    Raises:
        Exception: boto3's, or an OSError when what was read is not what was written.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    client: Any = boto3.client(
        "s3", config=Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    )
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    place = {"Bucket": bucket, "Key": f"{prefix}/_meta/doctor-{uuid.uuid4().hex}".lstrip("/")}
    content = uuid.uuid4().bytes
    answer = client.put_object(**place, Body=content, IfNoneMatch="*")
    try:
        if client.get_object(**place)["Body"].read() != content:
            raise OSError("what was read is not what was written")
        try:
            client.put_object(**place, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in {409, 412}:
                raise
        else:
            return (
                Finding(
                    "storage",
                    "wrong",
                    f"{root} ignores If-None-Match: two runs could publish over each other",
                    "Use a store with conditional PUT",
                ),
                None,
            )
    finally:
        client.delete_object(**place)
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return Finding("storage", "ok", f"{root}, conditional PUT holds"), _http_date(date)


def _http_date(value: str | None) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).astimezone(UTC) if value else None
    except ValueError:
        return None
