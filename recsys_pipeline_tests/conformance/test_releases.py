"""Releases on a local folder and on S3: whole or not there, never replaced, verified by their bytes."""

from __future__ import annotations

import json
import uuid

import pytest

from recsys_pipeline.errors import ReleaseError
from recsys_pipeline.export import iter_batches, open_release
from recsys_pipeline.storage.layout import MANIFEST, release_file, release_of
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.landed import (
    all_days,
    item_version,
    land,
    random_events,
    run_days,
    settings_for,
)
from recsys_pipeline_tests.releases import DAYS, SEED, release, small_root


class KilledError(BaseException):
    """As if the process had ended: nothing catches it."""


@pytest.fixture(scope="module", params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def filled(request, tmp_path_factory) -> str:
    """A root with published samples; the tests of this module share it."""
    if request.param == "local":
        return str(small_root(tmp_path_factory.mktemp("store of data")))
    root = f"{request.getfixturevalue('s3_bucket')}/{uuid.uuid4().hex}"
    land(root, random_events(SEED, 200, DAYS, ("acme",)), "a")
    land(root, [item_version(item=f"i{n}") for n in range(14)], "b", "items")
    run_days(settings_for(root), all_days(DAYS))
    return root


@pytest.fixture
def root(filled) -> str:
    """The same without releases."""
    objects = open_store(filled)
    for path in objects.list("training_dataset/"):
        objects.delete(path)
    return filled


def files(root: str) -> dict[str, bytes | None]:
    objects = open_store(root)
    return {path: objects.read(path) for path in objects.list("training_dataset/")}


@pytest.fixture
def killing(monkeypatch):
    """End the process before the n-th object of a release is put in place."""
    from recsys_pipeline.storage.local_store import LocalStore
    from recsys_pipeline.storage.s3_store import S3Store

    left = {"puts": None}

    def trap(original):
        def put(store, first, second, **more):
            path = second if isinstance(second, str) else first
            inner = release_of(path)
            # the manifest is the one that is written, not put
            is_one = inner and (inner[2] == MANIFEST) == (original.__name__ == "write")
            if left["puts"] is not None and is_one:
                if left["puts"] == 0:
                    raise KilledError
                left["puts"] -= 1
            return original(store, first, second, **more)

        return put

    for store in (LocalStore, S3Store):
        for name in ("put_file", "write"):
            monkeypatch.setattr(store, name, trap(getattr(store, name)))
    return lambda puts: left.update(puts=puts)


def test_a_release_is_made_found_read_and_verified(root):
    made = release(root)
    before = files(root)
    assert not release(root).is_new
    assert files(root) == before
    releases = Releases(open_store(root))
    assert releases.verify(made.manifest) == []
    assert releases.all() == releases.all("acme") == [made.manifest]
    assert releases.all("beta") == []
    opened = open_release(made.uri)
    rows = sum(len(batch["label"]) for batch in iter_batches(opened, "train", 50))
    assert rows == made.manifest.rows()["train"]
    assert opened.vocabulary("users").height == made.manifest.content.folds[0].vocabularies["users"]
    child = release(root, extend=made.manifest.release)
    assert child.manifest.content.parent == made.manifest.release


def test_verification_finds_what_is_bad_missing_and_extra(root):
    manifest = release(root).manifest
    objects = open_store(root)
    releases = Releases(objects)

    def path(name):
        return release_file("acme", manifest.release, name)

    whole = objects.read(path("train/part-00000.parquet"))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    objects.write(path("train/part-00000.parquet"), bytes(flipped))
    objects.delete(path("vocabularies/users.parquet"))
    objects.write(path("train/part-99999.parquet"), whole)
    assert {(f.path, f.fault) for f in releases.verify(manifest)} == {
        ("train/part-00000.parquet", "bad"),
        ("vocabularies/users.parquet", "missing"),
        ("train/part-99999.parquet", "extra"),
    }


def test_a_manifest_that_was_changed_is_no_manifest(tmp_path):
    root = str(small_root(tmp_path))
    manifest = release(root).manifest
    objects = open_store(root)
    path = release_file("acme", manifest.release, MANIFEST)
    document = json.loads(objects.read(path))
    document["content"]["seed"] += 1
    objects.write(path, json.dumps(document).encode())
    with pytest.raises(ReleaseError, match="was changed"):
        Releases(objects).get(manifest.release)
    good, (error,) = Releases(objects).judged()
    assert (good, error.culprit) == ([], path)
    assert release(root, seed=5).is_new  # it stops no other release
    objects.write(path, b"{}")
    with pytest.raises(ReleaseError, match="no manifest"):
        Releases(objects).get(manifest.release)


def test_killed_between_any_two_writes_there_is_no_half_release_and_the_next_run_finishes(
    root, killing
):
    releases = Releases(open_store(root))
    names = 9  # files, then the manifest
    # S3 sees each request whole as well, and is slow here
    for puts in range(names + 1) if not root.startswith("s3://") else (0, 5, names):
        killing(puts)
        with pytest.raises(KilledError):
            release(root, shard_rows=10**6)
        assert releases.all() == []
        assert len(files(root)) == puts
    killing(None)
    made = release(root, shard_rows=10**6)
    assert len(made.manifest.content.files) == names
    assert made.is_new
    assert releases.verify(made.manifest) == []


def test_what_a_killed_run_left_goes_with_the_next_release_of_the_tenant(root, killing):
    killing(3)
    with pytest.raises(KilledError):
        release(root)
    killing(None)
    left = set(files(root))
    assert len(left) == 3
    made = release(root, seed=5)
    assert {release_of(path)[1] for path in files(root)} == {made.manifest.release}
    assert left.isdisjoint(files(root))
    # another release of the tenant stays
    release(root)
    assert len(Releases(open_store(root)).all()) == 2


def test_ids_may_be_cut_as_long_as_they_name_one(tmp_path):
    root = str(small_root(tmp_path))
    first, second = release(root).manifest, release(root, seed=5).manifest
    releases = Releases(open_store(root))
    assert releases.get(first.release[:12]) == first
    with pytest.raises(ReleaseError, match="is not there"):
        releases.get("ffffffffffffffffffff")
    with pytest.raises(ReleaseError, match=second.release):
        releases.get("")
    assert [m.release for m in releases.all()].count(second.release) == 1
