"""Make the bucket of `RECSYS_STORAGE_ROOT` where it does not exist; run once by docker compose."""

from __future__ import annotations

import sys

import boto3
from botocore.exceptions import ClientError

from recsys_pipeline.settings import get_settings


def main() -> int:
    """Return 0 when the bucket is there."""
    bucket = get_settings().storage_root.removeprefix("s3://").partition("/")[0]
    client = boto3.client("s3")
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
            raise
        client.create_bucket(Bucket=bucket)
    return 0


if __name__ == "__main__":
    sys.exit(main())
