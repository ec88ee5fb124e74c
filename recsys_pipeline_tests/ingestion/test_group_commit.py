from __future__ import annotations

import threading

import pytest

from recsys_pipeline.errors import ContractError, LandingError
from recsys_pipeline.ingestion import group_commit
from recsys_pipeline.ingestion.group_commit import GroupedLanding
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.storage.landing_rows import landed, rows


@pytest.fixture
def landing(tmp_path):
    return GroupedLanding(str(tmp_path), "interactions")


def together(landing, batches, monkeypatch):
    """Append batches from a thread each, so that all but the first wait for its commit."""
    begun = threading.Event()
    let = threading.Event()
    groups = []
    append_group = Landing.append_group

    def slow(self, pieces):
        groups.append(len(pieces))
        begun.set()
        if len(groups) == 1:
            let.wait(20)
        return append_group(self, pieces)

    monkeypatch.setattr(Landing, "append_group", slow)
    results = {}

    def append(number, batch, **given):
        try:
            results[number] = landing.append([rows(batch, range(3), **given)], **key(batch, given))
        except Exception as error:  # noqa: BLE001  # looked at by the test
            results[number] = error

    threads = [
        threading.Thread(target=append, args=(n, batch), kwargs=given)
        for n, (batch, given) in enumerate(batches)
    ]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    waited = sum(1 for _ in batches) - 1
    for _ in range(2000):
        if len(landing._waiting) >= waited:
            break
        threading.Event().wait(0.005)
    let.set()
    for thread in threads:
        thread.join(30)
    return [results[n] for n in range(len(batches))], groups


def key(batch, given):
    return {"tenant": given.get("tenant", "acme"), "key": batch, "sequence": 1}


def test_what_waits_for_a_commit_lands_in_the_next_one(landing, monkeypatch):
    batches = [(f"b{n}", {}) for n in range(6)]
    results, groups = together(landing, batches, monkeypatch)
    assert results == [True] * 6
    assert groups == [1, 5]
    assert landed(landing) == [(f"b{n}", p) for n in range(6) for p in range(3)]
    assert landing.snapshot().version <= 2 + 1  # the table's creation is one
    assert all(landing.sequence("acme", f"b{n}") == 1 for n in range(6))


def test_tenants_share_a_commit_and_nothing_else(landing, monkeypatch):
    batches = [("a", {}), ("b", {"tenant": "beta"}), ("c", {"tenant": "acme"})]
    results, groups = together(landing, batches, monkeypatch)
    assert results == [True] * 3
    assert groups == [1, 2]
    own = landing.snapshot().scan(tenants=["beta"]).collect()
    assert own["batch_id"].unique().to_list() == ["b"]


def test_the_same_batch_twice_in_a_group_lands_once(landing, monkeypatch):
    results, groups = together(landing, [("a", {}), ("b", {}), ("b", {})], monkeypatch)
    assert groups == [1, 2]
    assert sorted(results[1:]) == [False, True]
    assert landed(landing) == [(b, p) for b in "ab" for p in range(3)]


def test_a_repeat_does_not_land(landing):
    frame = rows("a", range(3))
    assert landing.append([frame], tenant="acme", key="a", sequence=1)
    assert not landing.append([frame], tenant="acme", key="a", sequence=1)
    assert landing.append([rows("a2", range(3))], tenant="acme", key="a", sequence=2)
    assert len(landed(landing)) == 6


def test_another_writer_in_between_costs_a_retry_and_no_row(landing, tmp_path, monkeypatch):
    other = Landing(str(tmp_path), "interactions")
    other.append([rows("0", range(1))], tenant="acme", key="0", sequence=1)
    commit = Landing._commit
    raced = []

    def race(self, *arguments):
        if not raced:
            raced.append(1)
            other.append([rows("b", range(3))], tenant="acme", key="b", sequence=1)
        return commit(self, *arguments)

    monkeypatch.setattr(Landing, "_commit", race)
    pieces = [landing.piece([rows(b, range(3))], "acme", b, 1) for b in ("a", "b", "c")]
    assert landing.append_group(pieces) == [True, False, True]
    expected = [("0", 0), *((b, p) for b in "abc" for p in range(3))]
    assert landed(landing) == expected


def test_a_failed_commit_fails_each_and_the_next_works(landing, monkeypatch):
    def fail(*_):
        raise LandingError("the table", "is contended")

    with monkeypatch.context() as patch:
        patch.setattr(Landing, "_commit", fail)
        with pytest.raises(LandingError):
            landing.append([rows("a", range(3))], tenant="acme", key="a", sequence=1)
    assert landing.append([rows("a", range(3))], tenant="acme", key="a", sequence=1)
    assert len(landed(landing)) == 3


def test_bad_rows_fail_their_own_upload_alone(landing):
    with pytest.raises(ContractError):
        landing.append([rows("a", range(3))], tenant="beta", key="a", sequence=1)
    assert landing.append([rows("b", range(3))], tenant="acme", key="b", sequence=1)


def test_a_large_upload_commits_by_itself(landing, monkeypatch):
    monkeypatch.setattr(group_commit, "SMALL_BYTES", 10)
    monkeypatch.setattr(Landing, "append_group", None)
    frames = [rows("a", range(3)), rows("a", range(3, 6))]
    assert landing.append(iter(frames), tenant="acme", key="a", sequence=1)
    assert len(landed(landing)) == 6


def test_an_upload_of_many_days_commits_by_itself(landing, monkeypatch):
    monkeypatch.setattr(Landing, "append_group", None)
    frame = rows("a", range(20), days=20)
    assert landing.append([frame], tenant="acme", key="a", sequence=1)
    assert len(landed(landing)) == 20


def test_an_upload_without_rows_lands_as_a_key(landing):
    assert landing.append([], tenant="acme", key="a", sequence=1)
    assert not landing.append([], tenant="acme", key="a", sequence=1)
