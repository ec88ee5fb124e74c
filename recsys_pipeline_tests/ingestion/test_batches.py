from __future__ import annotations

from datetime import timedelta

import pytest

from recsys_pipeline.errors import LandingError
from recsys_pipeline.ingestion.batches import (
    AlreadyLanded,
    Batch,
    Counts,
    batch_days,
    implicit_key,
    land_batch,
    list_batches,
    plan_batch,
    retract_batch,
    show_batch,
)
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.storage.landing_rows import DAY, RECEIVED, landed, rows


class Uploader:
    """Ingests files whose content is one letter, an hour apart unless told otherwise."""

    def __init__(self, root, kind="interactions", tenant="acme") -> None:
        self.root, self.kind, self.tenant = str(root), kind, tenant
        self.landing = Landing(self.root, kind)
        self.now = RECEIVED

    def plan(self, content, *, after=timedelta(hours=1), **more):
        self.now += after
        return plan_batch(
            self.landing,
            tenant=self.tenant,
            source=f"file:{content}.csv",
            key=implicit_key(self.tenant, self.kind, content, None),
            mapping=None,
            received_at=self.now,
            idempotency_days=30,
            **more,
        )

    def upload(self, content, count=4, **more):
        """Return the batch's id, or None when the content has landed before."""
        plan = self.plan(content, **more)
        if isinstance(plan, AlreadyLanded):
            return None
        frame = rows(
            plan.batch_id, range(count), kind=self.kind, tenant=self.tenant, received_at=self.now
        )
        done = land_batch(self.landing, plan, [frame], start_date=DAY)
        assert isinstance(done, Batch)
        return done.batch_id

    def batches(self) -> list[str]:
        """Ids of the batches with rows in the table."""
        return sorted({batch for batch, _ in landed(self.landing)})


@pytest.fixture(params=["interactions", "items"])
def files(request, tmp_path) -> Uploader:
    return Uploader(tmp_path, request.param)


def test_the_key_is_of_tenant_kind_content_and_mapping():
    keys = {
        implicit_key(tenant, kind, content, mapping)
        for tenant in ("a", "b")
        for kind in ("interactions", "items")
        for content in ("x", "y")
        for mapping in (None, "", "m")
    }
    assert len(keys) == 24
    assert implicit_key("a", "items", "x", None) == implicit_key("a", "items", "x", None)
    assert implicit_key("a", "items", "x", "y") != implicit_key("a", "items", "xy", "")


def test_the_same_file_again_changes_nothing_and_says_which_batch(files):
    first = files.upload("a")
    version = files.landing.snapshot().version
    again = files.plan("a", after=timedelta(days=29))
    assert isinstance(again, AlreadyLanded)
    assert again.batch.batch_id == first
    assert again.batch.counts.landed == 4
    assert files.landing.snapshot().version == version


def test_after_the_idempotency_days_it_lands_again(files):
    first = files.upload("a")
    second = files.upload("a", after=timedelta(days=30))
    assert [first[-2:], second[-2:]] == ["-1", "-2"]
    assert files.batches() == sorted([first, second])
    assert files.upload("a", after=timedelta(days=29)) is None


def test_a_retracted_file_can_be_ingested_again(files):
    first = files.upload("a")
    kept = files.upload("b", 2)
    gone = retract_batch(files.root, first, start_date=DAY)
    assert (gone.rows, gone.days) == (4, tuple(DAY + timedelta(days=n) for n in range(3)))
    assert files.batches() == [kept]
    second = files.upload("a")
    assert second == f"{first[:-1]}2"
    assert files.batches() == sorted([kept, second])
    assert files.upload("a") is None
    states = {one.batch.batch_id: one.state for one in list_batches(files.root)}
    assert states == {first: "retracted", kept: "landed", second: "landed"}


def test_an_item_price_that_goes_back_is_an_update(tmp_path):
    files = Uploader(tmp_path, "items")
    first, other = files.upload("a"), files.upload("b")
    assert files.upload("b") is None
    third = files.upload("a")
    assert third == f"{first[:-1]}2"
    assert files.upload("a") is None
    assert files.upload("b") == f"{other[:-1]}2"
    retract_batch(files.root, f"{other[:-1]}2", start_date=DAY)
    assert files.upload("a") is None, "with its successor withdrawn it is the latest again"


def test_interactions_match_any_earlier_batch(tmp_path):
    files = Uploader(tmp_path)
    files.upload("a")
    files.upload("b")
    assert files.upload("a") is None


def test_the_latest_items_are_those_of_the_tenant(tmp_path):
    ours, theirs = Uploader(tmp_path, "items"), Uploader(tmp_path, "items", "beta")
    ours.upload("a")
    theirs.upload("b", after=timedelta(days=1))
    assert ours.upload("a") is None


def test_a_replacement_withdraws_the_other_batch(files):
    wrong = files.upload("a", 7)
    right = files.upload("b", 2, replaces=wrong)
    assert files.batches() == [right]
    assert show_batch(files.root, right, start_date=DAY).batch.replaces == wrong
    assert show_batch(files.root, wrong, start_date=DAY).state == "retracted"
    assert files.upload("b", replaces=wrong) is None, "the same command again changes nothing"


def test_what_can_not_be_replaced(files):
    wrong, right = files.upload("a"), files.upload("b")
    version = files.landing.snapshot().version
    with pytest.raises(LandingError, match=f"has landed as {right}.*batches retract {wrong}"):
        files.upload("b", replaces=wrong)
    with pytest.raises(LandingError, match="is no batch"):
        files.upload("c", replaces="0123456789abcdef-1")
    with pytest.raises(LandingError, match="is no batch"):
        Uploader(files.root, files.kind, "beta").upload("c", replaces=wrong)
    assert files.landing.snapshot().version == version
    retract_batch(files.root, wrong, start_date=DAY)
    with pytest.raises(LandingError, match="is retracted"):
        files.upload("c", replaces=wrong)


def test_counts(tmp_path):
    files = Uploader(tmp_path)
    plan = files.plan("a")
    good = rows(plan.batch_id, range(9))
    torn = rows(plan.batch_id, [9, 10], problem="line.readable", parked=True, date=DAY)
    odd = rows(plan.batch_id, [12], problem="rating.readable")
    start = DAY + timedelta(days=1)
    done = land_batch(files.landing, plan, [good, torn, odd], start_date=start)
    assert done.counts == Counts(
        read=12,
        landed=12,
        unreadable={"line.readable": 2, "rating.readable": 1},
        parked=2,
        before_start=4,
        first_day=DAY,
        last_day=DAY + timedelta(days=2),
        days=3,
    )
    assert show_batch(files.root, plan.batch_id, start_date=start).batch == done


def test_counts_lost_to_a_crash_are_counted_again(tmp_path, monkeypatch):
    from recsys_pipeline.ingestion import batches

    files = Uploader(tmp_path)
    first = files.upload("a", 9)
    expected = show_batch(files.root, first, start_date=DAY).batch
    record = tmp_path / f"_meta/batches/interactions/acme/{first}.json"
    whole = record.read_text()
    plan = Batch(**{**vars(expected), "counts": None})
    batches.save_record(files.landing, plan)
    assert record.read_text() != whole
    assert show_batch(files.root, first, start_date=DAY).batch == expected
    assert record.read_text() == whole


def test_a_lost_record_does_not_let_a_file_in_twice(files):
    first = files.upload("a")
    files.landing.store.delete(f"_meta/batches/{files.kind}/acme/{first}.json")
    again = files.plan("a")
    assert isinstance(again, AlreadyLanded)
    assert again.batch.batch_id == first
    assert again.batch.received_at == RECEIVED + timedelta(hours=1)


def test_a_planned_batch_that_never_landed(files):
    plan = files.plan("a")

    def torn():
        yield rows(plan.batch_id, range(2), kind=files.kind)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        land_batch(files.landing, plan, torn(), start_date=DAY)
    (status,) = list_batches(files.root)
    assert (status.state, status.batch.counts) == ("unfinished", None)
    with pytest.raises(LandingError, match="never landed"):
        retract_batch(files.root, plan.batch_id, start_date=DAY)
    assert files.upload("a") == plan.batch_id
    assert list_batches(files.root)[0].state == "landed"


def test_a_file_without_rows_is_a_batch(files):
    first = files.upload("a", 0)
    assert show_batch(files.root, first, start_date=DAY).batch.counts == Counts()
    assert files.upload("a") is None
    assert batch_days(files.root, first) == ()


def test_a_concurrent_landing_is_reported(files):
    plan = files.plan("a")
    first = files.upload("a")
    late = land_batch(files.landing, plan, [], start_date=DAY)
    assert isinstance(late, AlreadyLanded)
    assert late.batch.batch_id == first
    assert late.batch.counts.landed == 4


def test_unknown_and_repeated_ids(files):
    for act in (show_batch, retract_batch):
        with pytest.raises(LandingError, match=r"does not exist.*recsys batches list"):
            act(files.root, "../acme-1", start_date=DAY)
    first = files.upload("a")
    retract_batch(files.root, first, start_date=DAY)
    with pytest.raises(LandingError, match="already retracted"):
        retract_batch(files.root, first, start_date=DAY)


def test_the_list_is_latest_first_and_narrowed(tmp_path):
    ours, theirs = Uploader(tmp_path), Uploader(tmp_path, "items", "beta")
    first = ours.upload("a")
    second = ours.upload("b")
    third = theirs.upload("c", after=timedelta(days=1))

    def ids(**where):
        return [one.batch.batch_id for one in list_batches(str(tmp_path), **where)]

    assert ids() == [third, second, first]
    assert ids(tenant="acme") == [second, first]
    assert ids(kind="items") == [third]
    assert ids(kind="items", tenant="acme") == []
    assert list_batches(str(tmp_path / "nothing here")) == []
