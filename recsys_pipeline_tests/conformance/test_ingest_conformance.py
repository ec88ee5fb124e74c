"""`recsys ingest` behaves alike on a local root and on S3, from local files and from S3."""

from __future__ import annotations

import gzip
import uuid

import pytest

from recsys_pipeline.errors import SourceError
from recsys_pipeline.ingestion.batches import list_batches
from recsys_pipeline.ingestion.ingest import Options, ingest_files
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.ingestion.files import GOOD, HEADER, RECEIVED, write
from recsys_pipeline_tests.landed import settings_for

BODY = HEADER + GOOD + "torn\n" + GOOD


@pytest.fixture
def settings(root, tmp_path):
    return settings_for(root).model_copy(update={"tenants_file": tmp_path / "tenants.toml"})


def put(s3_bucket: str, name: str, data: bytes) -> str:
    import s3fs

    address = f"{s3_bucket}/{uuid.uuid4().hex}/{name}"
    s3fs.S3FileSystem(use_listings_cache=False).pipe_file(address, data)
    return address


def ingest(settings, path, kind="interactions", **options):
    (summary,) = ingest_files(
        settings, kind, [path], "acme", received_at=RECEIVED, options=Options(**options)
    )
    return summary


def landed(settings, kind="interactions"):
    return Landing(settings.storage_root, kind).snapshot().scan().collect().sort("position")


def test_land_repeat_replace(settings, tmp_path):
    path = write(tmp_path, "f.csv.gz", gzip.compress(BODY.encode()))
    first = ingest(settings, path)
    assert first.counts.unreadable == {"line.readable": 1}
    assert landed(settings)["position"].to_list() == [2, 3, 4]
    assert ingest(settings, path).already_landed
    assert landed(settings).height == 3
    ingest(settings, write(tmp_path, "g.csv", HEADER + GOOD), replace=first.batch_id)
    assert landed(settings).height == 1


def test_from_s3(settings, s3_bucket):
    address = put(s3_bucket, "f.csv.gz", gzip.compress(BODY.encode()))
    assert ingest(settings, address).counts.landed == 3
    assert set(landed(settings)["source"]) == {address}


def test_nothing_of_a_bad_file_stays(settings, s3_bucket, tmp_path):
    torn = gzip.compress((HEADER + GOOD * 300_000).encode())[:-20]
    for path in (
        write(tmp_path, "torn.csv.gz", torn),
        put(s3_bucket, "torn.csv.gz", torn),
        put(s3_bucket, "empty.csv", b""),
        f"{s3_bucket}/no/such/key.csv",
        "s3://no-such-bucket-here/key.csv",
    ):
        with pytest.raises(SourceError) as error:
            ingest(settings, path)
        assert "\n" not in str(error.value)
    assert landed(settings).is_empty()
    assert list_batches(settings.storage_root) == []


def test_a_snapshot_of_items(settings, tmp_path):
    ingest(settings, write(tmp_path, "a.csv", "item_id,title,category\na,A,C\nb,B,C\n"), "items")
    path = write(tmp_path, "b.csv", "item_id,title,category\nb,B,C\n")
    assert ingest(settings, path, "items", mode="snapshot").withdrawn == 1
    assert landed(settings, "items")["available"].sum() == 3
