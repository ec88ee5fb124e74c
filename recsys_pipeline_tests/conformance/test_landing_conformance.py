"""The landing zone keeps its promises on every store."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from recsys_pipeline.errors import LandingError
from recsys_pipeline.ingestion import batches
from recsys_pipeline.schemas.landing import LandedInteraction, LandedItem
from recsys_pipeline.schemas.rules import frame_schema
from recsys_pipeline.storage import landing as landing_module
from recsys_pipeline.storage.delta_files import removal
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.landing_repair import RepairableLanding, Replacement, Scope
from recsys_pipeline_tests.storage.landing_rows import (
    DAY,
    RECEIVED,
    landed,
    lander,
    rows,
)

D1, D2, D3 = (DAY + timedelta(days=n) for n in range(3))


@pytest.fixture
def landing(root) -> Landing:
    return Landing(root, "interactions")


def append(landing, key, positions, *, sequence=1, replaces=None, tenant="acme", **more) -> bool:
    frame = rows(f"{key}-{sequence}", positions, tenant=tenant, kind=landing.kind, **more)
    return landing.append([frame], tenant=tenant, key=key, sequence=sequence, replaces=replaces)


def both(*keys, count=9) -> list[tuple[str, int]]:
    return sorted((f"{key}-1", position) for key in keys for position in range(count))


@pytest.mark.parametrize(
    ("kind", "model"), [("interactions", LandedInteraction), ("items", LandedItem)]
)
def test_no_table_is_an_empty_table(root, kind, model):
    landing = Landing(root, kind)
    landing.compact()
    snapshot = landing.snapshot()
    assert snapshot.version == -1
    assert snapshot.scan({DAY}, {"acme"}).collect().schema == frame_schema(model)
    assert snapshot.batch("b-1").collect().is_empty()
    assert snapshot.content() == {}
    assert landing.changes(-1) == set()
    assert landing.sequence("acme", "b") is None
    assert not landing.is_retracted("b-1")


@pytest.mark.parametrize("kind", ["interactions", "items"])
def test_rows_come_back_as_they_were(root, kind):
    landing = Landing(root, kind)
    ours = rows("a-1", range(9), kind=kind, problem="rating.readable", raw="é,\x00;\n")
    theirs = rows("b-1", range(5), kind=kind, tenant="beta")
    assert landing.append([ours[:4], ours[:0], ours[4:]], tenant="acme", key="a", sequence=1)
    assert landing.append([theirs], tenant="beta", key="b", sequence=1)

    snapshot = landing.snapshot()
    everything = snapshot.scan().sort("tenant", "position").collect()
    assert everything.equals(pl.concat([ours, theirs]))
    assert snapshot.scan(tenants=["beta"]).sort("position").collect().equals(theirs)
    some = snapshot.scan(days=[D2], tenants={"acme"}).sort("position").collect()
    assert some.equals(ours.filter(pl.col("date") == D2))
    assert snapshot.scan(days=[]).collect().is_empty()
    assert snapshot.batch("b-1").sort("position").collect().equals(theirs)
    rows_of = {pair: content.rows for pair, content in snapshot.content().items()}
    assert rows_of == {
        (D1, "acme"): 3, (D2, "acme"): 3, (D3, "acme"): 3,
        (D1, "beta"): 2, (D2, "beta"): 2, (D3, "beta"): 1,
    }  # fmt: skip
    assert set(snapshot.content(["beta"])) == {(day, "beta") for day in (D1, D2, D3)}


def test_a_committed_sequence_lands_no_more(landing):
    assert append(landing, "a", range(9), sequence=2)
    version = landing.snapshot().version

    def untouched():
        raise AssertionError
        yield

    for sequence in (1, 2):
        assert not landing.append(untouched(), tenant="acme", key="a", sequence=sequence)
    assert landing.snapshot().version == version
    assert landing.sequence("acme", "a") == 2
    assert landing.sequence("beta", "a") is None
    assert append(landing, "a", range(9), sequence=3)


def test_an_upload_without_rows_is_landed_all_the_same(landing):
    assert landing.append([], tenant="acme", key="a", sequence=1)
    assert not landing.append([], tenant="acme", key="a", sequence=1)
    assert landing.sequence("acme", "a") == 1
    assert landing.snapshot().content() == {}


def test_a_source_that_fails_half_way_leaves_nothing(landing, monkeypatch):
    monkeypatch.setattr(landing_module, "BUFFER_BYTES", 1)
    append(landing, "a", range(9))
    before, files = landing.snapshot(), set(landing.store.list("raw_interactions"))

    def torn():
        yield rows("b-1", range(9))
        raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        landing.append(torn(), tenant="acme", key="b", sequence=1)
    after = landing.snapshot()
    assert (after.version, after.content()) == (before.version, before.content())
    assert landing.sequence("acme", "b") is None
    assert set(landing.store.list("raw_interactions")) == files


def test_compaction_changes_nothing_but_files(landing):
    for number in range(4):
        append(landing, f"k{number}", range(number, 20, 2))
    before, content = landing.snapshot(), landing.snapshot().content()
    landing.compact()
    after = landing.snapshot()
    assert after.version > before.version
    assert after.content() == content
    old, new = (one.scan().sort("batch_id", "position").collect() for one in (before, after))
    assert new.equals(old)
    assert len(new) == 38
    files = after._live.group_by("partition.date", "partition.tenant").len()
    assert files["len"].to_list() == [1, 1, 1]
    landing.compact()
    assert landing.snapshot().version == after.version, "there is nothing left to compact"
    assert landing.changes(before.version) == set()
    assert landing.sequence("acme", "k0") == 1
    assert not append(landing, "k0", range(9))


def test_content_follows_every_row(landing):
    append(landing, "a", range(9))
    first = landing.snapshot().content()
    append(landing, "b", [3])
    second = landing.snapshot().content()
    assert {pair for pair in second if second[pair] != first[pair]} == {(D1, "acme")}
    landing.retract("b-1")
    assert landing.snapshot().content() == first


@pytest.mark.parametrize("compacted", [False, True])
def test_a_retraction_takes_its_batch_and_no_other(landing, compacted):
    for key in ("a", "b", "c"):
        append(landing, key, range(9))
    append(landing, "d", [1], days=2)
    if compacted:
        landing.compact()
    pinned = landing.snapshot()
    assert landing.retract("b-1") == 9
    assert landed(landing) == [*both("a", "c"), ("d-1", 1)]
    assert landing.snapshot().version == pinned.version + 1
    assert landing.changes(pinned.version) == {(day, "acme") for day in (D1, D2, D3)}
    assert landing.is_retracted("b-1")
    assert not landing.is_retracted("a-1")
    assert landing.retract("b-1") == 0
    assert not append(landing, "b", range(9)), "its key is used up"
    assert pinned.scan().collect().height == 28, "a pinned version keeps its rows"
    assert landing.snapshot(pinned.version).scan().collect().height == 28


def test_a_replacement_is_one_commit(landing):
    append(landing, "a", [0, 3])
    append(landing, "b", range(9))
    landing.compact()
    before = landing.snapshot().version
    assert append(landing, "c", [1], replaces="b-1")
    assert landing.snapshot().version == before + 1
    assert landed(landing) == [("a-1", 0), ("a-1", 3), ("c-1", 1)]
    assert landing.is_retracted("b-1")
    assert landing.changes(before) == {(day, "acme") for day in (D1, D2, D3)}


def test_changes_name_the_days_of_later_commits_only(landing):
    append(landing, "a", [0])
    first = landing.snapshot().version
    append(landing, "b", [1], tenant="beta")
    append(landing, "c", [2])
    assert landing.changes(-1) == {(D1, "acme"), (D2, "beta"), (D3, "acme")}
    assert landing.changes(first) == {(D2, "beta"), (D3, "acme")}
    assert landing.changes(landing.snapshot().version) == set()
    with pytest.raises(LandingError, match="no version 99"):
        landing.changes(99)


def test_changes_say_when_the_log_is_gone(landing):
    append(landing, "a", [0])
    append(landing, "b", [1])
    landing.compact()
    landing.store.delete(f"raw_interactions/_delta_log/{1:020d}.json")
    with pytest.raises(LandingError, match="no longer has the log"):
        landing.changes(0)
    assert landed(landing) == [("a-1", 0), ("b-1", 1)]


def test_a_version_that_is_not_there(landing):
    with pytest.raises(LandingError, match="does not exist"):
        landing.snapshot(7)
    append(landing, "a", [0])
    with pytest.raises(LandingError, match="no version 7"):
        landing.snapshot(7)


def test_retract_without_a_table(landing):
    with pytest.raises(LandingError, match="does not exist"):
        landing.retract("b-1")


def stale_first(monkeypatch, landing, table) -> None:
    """Make the next read of the table miss what was committed since `table`."""
    fresh, stale = landing._open, [table]
    monkeypatch.setattr(
        landing, "_open", lambda version=None: stale.pop() if stale else fresh(version)
    )


def test_a_racing_append_of_the_same_key_loses(landing, monkeypatch):
    append(landing, "z", [0])
    table = landing._open()
    assert append(landing, "a", range(9))
    stale_first(monkeypatch, landing, table)
    assert not append(landing, "a", range(9))
    assert landed(landing) == [*both("a"), ("z-1", 0)]


def test_a_commit_whose_answer_was_lost_is_still_ours(landing, monkeypatch):
    commit = Landing._commit
    monkeypatch.setattr(Landing, "_commit", lambda *a: commit(*a) and False)
    assert append(landing, "a", range(9))
    assert landed(landing) == both("a")


@pytest.mark.parametrize("meanwhile", ["append", "retract", "compact"])
@pytest.mark.parametrize("action", ["append", "replace", "retract", "compact"])
def test_every_pair_of_racing_commits(landing, monkeypatch, action, meanwhile):
    append(landing, "a", range(9))
    append(landing, "b", range(9))
    append(landing, "c", range(9))
    table = landing._open()
    expected = both("a", "b", "c")
    if meanwhile == "append":
        append(landing, "m", [0])
        expected += [("m-1", 0)]
    elif meanwhile == "retract":
        landing.retract("a-1")
        expected = both("b", "c")
    else:
        landing.compact()
    stale_first(monkeypatch, landing, table)
    if action == "append":
        assert append(landing, "n", [0])
        expected += [("n-1", 0)]
    elif action == "replace":
        assert append(landing, "n", [0], replaces="b-1")
        expected = [*(row for row in expected if row[0] != "b-1"), ("n-1", 0)]
    elif action == "retract":
        assert landing.retract("b-1") == 9
        expected = [row for row in expected if row[0] != "b-1"]
    else:
        landing.compact()
    assert landed(landing) == sorted(expected)


def test_a_compaction_between_the_plan_and_the_commit_of_a_retraction(landing, monkeypatch):
    append(landing, "a", range(9))
    append(landing, "b", range(9))
    other = Landing(landing.uri.rsplit("/", 1)[0], "interactions")
    planned = []

    def interrupted(*arguments):
        result = removal(*arguments)
        if not planned:
            other.compact()
        planned.append(result)
        return result

    monkeypatch.setattr(landing_module, "removal", interrupted)
    assert landing.retract("a-1") == 9
    assert len(planned) == 2
    assert landed(landing) == both("b")


def finish(processes) -> list[str]:
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        answers.append(out.strip())
    return answers


@pytest.mark.slow
def test_four_processes_land_the_same_file_at_once(landing, root):
    answers = finish([lander(root, "f" * 64, "never") for _ in range(4)])
    assert sorted(answers) == ["already", "already", "already", "landed"]
    assert landed(landing) == [("f" * 16 + "-1", n) for n in range(40)]
    (status,) = batches.list_batches(root)
    assert status.state == "landed"
    shown = batches.show_batch(root, status.batch.batch_id, start_date=DAY)
    assert shown.batch.counts.landed == 40


@pytest.mark.slow
def test_four_processes_land_four_files_at_once(landing, root):
    answers = finish([lander(root, key * 64, "never") for key in "abcd"])
    assert answers == ["landed"] * 4
    assert landed(landing) == [(key * 16 + "-1", n) for key in "abcd" for n in range(40)]


def test_the_registry(root):
    landing = Landing(root, "interactions")
    key = batches.implicit_key("acme", "interactions", "content", None)
    plan = batches.plan_batch(
        landing,
        tenant="acme",
        source="file:é[1].csv",
        key=key,
        mapping="movielens",
        received_at=RECEIVED,
        idempotency_days=30,
    )
    done = batches.land_batch(
        landing, plan, [rows(plan.batch_id, range(9))], start_date=date(2025, 1, 2)
    )
    assert done.counts.landed == 9
    assert done.counts.before_start == 3
    assert batches.list_batches(root, tenant="acme") == [batches.BatchStatus(done, "landed")]
    assert batches.list_batches(root, tenant="ac") == []
    assert batches.list_batches(root, kind="items") == []
    withdrawn = batches.retract_batch(root, plan.batch_id, start_date=DAY)
    assert (withdrawn.rows, withdrawn.days) == (9, (D1, D2, D3))
    assert batches.show_batch(root, plan.batch_id, start_date=DAY).state == "retracted"


class _EarlyRows:
    """Moves the rows of the first three positions to another day, once."""

    def of(self, rows: pl.DataFrame) -> Replacement:
        early = (pl.col("position") < 3) & pl.col("revision").is_null()
        found = rows.with_row_index("at").filter(early)
        return Replacement(found["at"], found.drop("at").with_columns(date=pl.lit(D3)))


def test_replaced_rows_are_there_once(root):
    table = RepairableLanding(root, "interactions")
    for key in ("a", "b"):
        append(table, key, range(9), days=2)
    before = table.snapshot().content()
    scope = Scope("acme", last=D2)
    version = table.snapshot().version
    table.repair(scope, _EarlyRows, dry_run=True)
    assert table.snapshot().version == version
    for _ in range(2):
        table.repair(scope, _EarlyRows)
        assert landed(table) == both("a", "b")
        assert table.snapshot().version == version + 1
    found = table.snapshot().scan([D3]).collect()
    assert sorted(found["position"]) == [0, 0, 1, 1, 2, 2]
    after = table.snapshot().content()
    table.compact()
    assert table.snapshot().content() == after
    assert after[D1, "acme"].content != before[D1, "acme"].content
    assert table.retract("a-1") == 9
    assert landed(table) == both("b")
