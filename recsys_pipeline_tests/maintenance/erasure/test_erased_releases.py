"""Releases without an erased user take the places of those that had them."""

from __future__ import annotations

import polars as pl
import pytest

from recsys_pipeline.maintenance.erasure import releases as module
from recsys_pipeline.maintenance.erasure.releases import erase_releases
from recsys_pipeline.storage.erased import Subjects
from recsys_pipeline.storage.layout import MANIFEST, release_file
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.storage.releases import Releases
from recsys_pipeline_tests.releases import release, small_root

GONE = Subjects.of_ids("acme", b"key", frozenset({("u1", None)}))
OTHER = Subjects.of_ids("acme", b"key", frozenset({("u2", None)}))


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


@pytest.mark.parametrize("name", [MANIFEST, "train/part-00000.parquet"])
def test_one_that_can_not_be_read_waits_and_keeps_no_other_from_being_done(releases, name):
    damaged, other = releases.all("acme")
    releases.objects.write(release_file("acme", damaged.release, name), b"{")
    done = erase_releases(releases.objects, GONE)
    assert (done.changed, done.waiting) == (1, 1)
    assert damaged.release in done.note
    assert other.release not in {one.release for one in releases.all("acme")}


@pytest.mark.parametrize("when", ["is_needed", "make"])
def test_of_two_erasures_at_once_none_puts_back_whom_the_other_erased(releases, monkeypatch, when):
    """The other one is done while a release is looked at, or made anew."""
    original, others = getattr(module._Rewriting, when), [OTHER]

    def meanwhile(rewriting):
        found = original(rewriting)
        while others:
            erase_releases(releases.objects, others.pop())
        return found

    monkeypatch.setattr(module._Rewriting, when, meanwhile)
    assert erase_releases(releases.objects, GONE).changed == 2
    left = releases.all("acme")
    assert len(left) == 2
    for one in left:
        assert releases.verify(one) == []
        for file in one.content.files:
            path = releases.objects.uri(release_file("acme", one.release, file.path))
            text = pl.read_parquet(path, hive_partitioning=False).write_ndjson()
            assert '"u1"' not in text
            assert '"u2"' not in text
