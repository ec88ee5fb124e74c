"""A day of samples to S3 (a moto server on loopback): as published, its upload alone, one raw PUT."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.data import FOLDER, events_file
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.parquet_store import ROW_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BUCKET = "bench"


def _bucket() -> None:
    """Start a server for this process, and point the `AWS_*` variables at it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(server.kill)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION")
    os.environ |= dict.fromkeys(names, "us-east-1") | {"AWS_ENDPOINT_URL": url}
    while True:
        try:
            urllib.request.urlopen(f"{url}/moto-api/data.json").close()  # noqa: S310
            break
        except OSError:
            time.sleep(0.1)
    _client().create_bucket(Bucket=BUCKET)


def _client():  # noqa: ANN202  # boto3 ships no types
    import boto3

    return boto3.client("s3")


def _frame(millions: int) -> pl.DataFrame:
    return pl.read_parquet(events_file(millions))


def _write(frame: pl.DataFrame, path: Path) -> None:
    """Write as publication does."""
    frame.write_parquet(path, compression="zstd", compression_level=1, row_group_size=ROW_GROUP)


def _file(millions: int) -> Path:
    path = FOLDER / f"upload-{millions}m.parquet"
    _write(_frame(millions), path)
    return path


def ours(millions: int) -> Callable[[], object]:
    """Encode a frame as Parquet, upload it."""
    _bucket()
    frame, store = _frame(millions), open_store(f"s3://{BUCKET}/root")
    store.write("warm", b"connection")

    def work() -> None:
        local = store.temporary()
        _write(frame, local)
        store.put_file(local, "day.parquet")

    return work


def upload(millions: int) -> Callable[[], object]:
    """Upload the finished file."""
    _bucket()
    path, store = _file(millions), open_store(f"s3://{BUCKET}/root")
    store.write("warm", b"connection")
    return lambda: store.put_file(path, "day.parquet")


def raw_put(millions: int) -> Callable[[], object]:
    """One PUT of the same bytes."""
    _bucket()
    data, client = _file(millions).read_bytes(), _client()
    client.put_object(Bucket=BUCKET, Key="warm", Body=b"connection")
    return lambda: client.put_object(Bucket=BUCKET, Key="day.parquet", Body=data)
