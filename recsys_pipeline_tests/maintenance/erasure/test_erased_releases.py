"""Releases without an erased user take the places of those that had them."""

from __future__ import annotations

import pytest

from recsys_pipeline.maintenance.erasure.releases import erase_releases
from recsys_pipeline.storage.erased import Subjects
from recsys_pipeline.storage.layout import MANIFEST, release_file
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.releases import release, small_root

GONE = Subjects.of_ids("acme", b"key", frozenset({("u1", None)}))


@pytest.fixture
def releases(tmp_path) -> Releases:
    """Two releases with `u1`; the first is the older."""
    found = Releases(open_store(str(small_root(tmp_path))))
    for number in (1, 2):
        made = release(tmp_path, seed=number).manifest
        at = {"at": f"2025-06-0{number}T00:00:00+00:00"}
        dated = made.model_copy(update={"made": made.made.model_copy(update=at)})
        found.objects.write(release_file("acme", made.release, MANIFEST), dated.encode())
    return found


def test_the_latest_stays_the_latest(releases):
    before = [one.release for one in releases.all("acme")]
    assert erase_releases(releases.objects, GONE).changed == 2
    assert [one.made.replaces for one in releases.all("acme")] == before


def test_a_pinned_one_stays_pinned(releases):
    newest, oldest = releases.all("acme")
    releases.pin(oldest)
    erase_releases(releases.objects, GONE)
    pinned = {one.made.replaces: releases.is_pinned(one) for one in releases.all("acme")}
    assert pinned == {oldest.release: True, newest.release: False}
    assert not releases.is_pinned(oldest)
