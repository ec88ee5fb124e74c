from __future__ import annotations

import gzip
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from recsys_pipeline.errors import (
    LandingError,
    MappingError,
    RecsysError,
    SettingsError,
    SourceError,
    TenantError,
)
from recsys_pipeline.ingestion.batches import list_batches
from recsys_pipeline.ingestion.ingest import Options, ingest_each, ingest_files
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.ingestion.files import GOOD, HEADER, RECEIVED, START, write
from recsys_pipeline_tests.landed import settings_for

LATER = RECEIVED + timedelta(days=1)
ITEMS = "item_id,title,category\na,A,Audio\nb,B,Audio\n"


def landed(settings, kind="interactions") -> pl.DataFrame:
    rows = Landing(settings.storage_root, kind).snapshot().scan().collect()
    return rows.sort("received_at", "position")


def ingest(settings, paths, kind="interactions", mapping=None, received_at=RECEIVED, **options):
    paths = [paths] if isinstance(paths, str) else paths
    return ingest_files(
        settings,
        kind,
        paths,
        "acme",
        mapping,
        received_at=received_at,
        options=Options(**options),
    )


def test_a_file_lands_with_a_summary(settings, tmp_path):
    body = HEADER + GOOD * 3 + "u,i\n" + "u,i,view,2024-12-31\n" + "u,i,view,soon\n"
    seen = []
    (summary,) = ingest_files(
        settings,
        "interactions",
        [write(tmp_path, "f.csv", body)],
        "acme",
        received_at=RECEIVED,
        progress=lambda *arguments: seen.append(arguments),
    )
    counts = summary.counts
    assert (counts.read, counts.landed, counts.parked, counts.before_start) == (6, 6, 2, 1)
    assert counts.unreadable == {"line.readable": 1, "timestamp.readable": 1}
    assert (counts.first_day, counts.last_day, counts.days) == (
        date(2024, 12, 31), RECEIVED.date(), 3,
    )  # fmt: skip
    notices = " ".join(summary.notices)
    assert "tenant 'acme' is new" in notices
    assert "RECSYS_START_DATE=2024-12-31" in notices
    assert "2 of 6 rows are parked" in notices
    assert seen[-1][1:] == (len(body), len(body))
    rows = landed(settings)
    assert rows["position"].to_list() == [2, 3, 4, 5, 6, 7]
    assert set(rows["batch_id"]) == {summary.batch_id}
    assert set(rows["source"]) == {"file:f.csv"}


def test_the_same_file_again_changes_nothing_and_says_so(settings, tmp_path):
    path = write(tmp_path, "f.csv", HEADER + GOOD)
    (first,) = ingest(settings, path)
    before = landed(settings)
    for again in (path, write(tmp_path, "copy.csv", HEADER + GOOD)):
        (summary,) = ingest(settings, again, received_at=LATER)
        assert summary.already_landed
        assert summary.batch_id == first.batch_id
        assert summary.counts == first.counts
        assert "already landed" in summary.notices[-1]
    assert landed(settings).equals(before)
    # read in another way it is another upload
    mapping = write(tmp_path, "m.toml", '[constants]\nevent_id = "e"\n')
    (other,) = ingest(settings, path, mapping=mapping, received_at=LATER)
    assert not other.already_landed


def test_replace_puts_right_a_wrong_upload(settings, tmp_path):
    (wrong,) = ingest(settings, write(tmp_path, "f.csv", HEADER + "u,i,veiw,2025-05-01\n"))
    right = write(tmp_path, "g.csv", HEADER + "u,i,view,2025-05-01\n")
    (summary,) = ingest(settings, right, replace=wrong.batch_id, received_at=LATER)
    assert landed(settings)["interaction_type"].to_list() == ["view"]
    states = {one.batch.batch_id: one.state for one in list_batches(settings.storage_root)}
    assert states == {wrong.batch_id: "retracted", summary.batch_id: "landed"}
    with pytest.raises(LandingError, match="nothing"):
        ingest(settings, write(tmp_path, "h.csv", HEADER + GOOD * 2), replace="nothing")


def test_several_files_are_several_batches_and_the_tenant_is_new_once(settings, tmp_path):
    paths = [write(tmp_path, f"{i}.csv", HEADER + GOOD * (i + 1)) for i in range(3)]
    summaries = ingest(settings, paths)
    assert [one.counts.landed for one in summaries] == [1, 2, 3]
    assert len({one.batch_id for one in summaries}) == 3
    assert ["is new" in " ".join(one.notices) for one in summaries] == [True, False, False]


def test_files_before_one_that_fails_have_landed(settings, tmp_path):
    paths = [write(tmp_path, "a.csv", HEADER + GOOD), write(tmp_path, "b.csv", "x,y\n1,2\n")]
    each = ingest_each(settings, "interactions", paths, "acme", received_at=RECEIVED)
    assert next(each).counts.landed == 1
    with pytest.raises(MappingError):
        next(each)
    # a missing file is noticed before anything lands
    with pytest.raises(SourceError):
        ingest(settings, [write(tmp_path, "c.csv", HEADER + GOOD * 5), "missing.csv"])
    assert landed(settings).height == 1


CSV = (HEADER + GOOD * 400_000).encode()
BAD = {
    "empty.csv": (b"", SourceError),
    "blank.csv": (b"\n \n", SourceError),
    "torn.csv.gz": (gzip.compress(CSV)[:-10], SourceError),
    "twice.csv": (b"user_id,user_id\n1,2\n", SourceError),
    "columns.csv": (b"a,b\n1,2\n", MappingError),
    "latin.csv": ("größe,b\n1,2\n".encode("latin-1"), SourceError),
    "torn.parquet": (b"PAR1 and no more", SourceError),
    "keys.jsonl": (b'{"a": 1}\n{"b": 2}\n', MappingError),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_leaves_nothing(settings, tmp_path, name):
    data, error = BAD[name]
    with pytest.raises(error) as raised:
        ingest(settings, write(tmp_path, name, data))
    message = str(raised.value)
    assert name in message
    assert "\n" not in message
    assert landed(settings).is_empty()
    assert list_batches(settings.storage_root) == []
    files = [p for p in (tmp_path / "store").rglob("*.parquet") if "_delta_log" not in p.parts]
    assert files == []


@pytest.mark.parametrize("name", ["Acme", "../up", "", "a" * 64, "a\n"])
def test_a_wrong_tenant_is_refused(settings, tmp_path, name):
    path = write(tmp_path, "f.csv", HEADER + GOOD)
    with pytest.raises(TenantError):
        ingest_files(settings, "interactions", [path], name)


def test_an_unknown_tenant_is_refused_where_tenants_are_listed(tmp_path):
    settings = settings_for(tmp_path / "store", auto_tenants=False)
    with pytest.raises(TenantError, match="'acme': is not in"):
        ingest(settings, write(tmp_path, "f.csv", HEADER + GOOD))


def test_the_tenants_own_mapping_is_the_default(settings, tmp_path):
    mapping = write(tmp_path, "m.toml", '[columns]\nuser_id = "who"\n')
    settings.tenants_file.parent.mkdir()
    settings.tenants_file.write_text(f'[tenants.acme]\nmapping = "{mapping}"\n')
    path = write(tmp_path, "f.csv", HEADER.replace("user_id", "who") + GOOD)
    (summary,) = ingest(settings, path)
    assert landed(settings)["user_id"].to_list() == ["u1"]
    assert summary.notices == ()


def test_a_file_without_rows_lands_nothing(settings, tmp_path):
    for name, data in (("f.csv", HEADER), ("f.json", "[]")):
        (summary,) = ingest(settings, write(tmp_path, name, data))
        assert (summary.batch_id, summary.counts.read) == (None, 0)
        assert "has no rows" in summary.notices[-1]
    assert list_batches(settings.storage_root) == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("interactions", {"as_of": START}),
        ("interactions", {"mode": "snapshot"}),
        ("items", {"as_of": LATER.date()}),
        ("items", {"as_of": date(1969, 1, 1)}),
        ("items", {"mode": "snapshot", "paths": 2}),
        ("items", {"replace": "x", "paths": 2}),
        ("items", {"paths": 0}),
    ],
)
def test_options_that_contradict_each_other(settings, tmp_path, kind, options):
    paths = [write(tmp_path, "f.csv", ITEMS)] * options.pop("paths", 1)
    with pytest.raises(SettingsError):
        ingest(settings, paths, kind, **options)


def test_the_day_of_an_item_version(settings, tmp_path):
    ingest(settings, write(tmp_path, "a.csv", ITEMS), "items")
    more = write(tmp_path, "b.csv", "item_id,title,category\nb,B2,Audio\nc,C,Audio\n")
    ingest(settings, more, "items", received_at=LATER)
    days = landed(settings, "items").select("item_id", "date").rows()
    assert days == [("a", START), ("b", START), ("b", LATER.date()), ("c", START)]
    dated = write(tmp_path, "c.csv", ITEMS + "d,D,Audio\n")
    ingest(settings, dated, "items", received_at=LATER, as_of=date(2025, 3, 3))
    assert landed(settings, "items").filter(pl.col("date") == date(2025, 3, 3)).height == 3


def test_a_replaced_catalogue_was_never_there(settings, tmp_path):
    (wrong,) = ingest(settings, write(tmp_path, "a.csv", ITEMS.replace("Audio", "x")), "items")
    right = write(tmp_path, "b.csv", ITEMS)
    ingest(settings, right, "items", replace=wrong.batch_id, received_at=LATER)
    assert landed(settings, "items")["date"].to_list() == [START, START]


def snapshot(settings, tmp_path, text, received_at, **options):
    path = write(tmp_path, "s.csv", text)
    return ingest(settings, path, "items", received_at=received_at, mode="snapshot", **options)[0]


def latest(settings) -> dict[str, bool]:
    rows = landed(settings, "items").sort("date", "received_at", "position")
    return dict(rows.group_by("item_id").agg(pl.col("available").last()).rows())


def test_a_snapshot_withdraws_what_it_lacks(settings, tmp_path):
    snapshot(settings, tmp_path, ITEMS, RECEIVED)
    summary = snapshot(settings, tmp_path, "item_id,title,category\nb,B,Audio\n", LATER)
    assert (summary.counts.read, summary.counts.landed, summary.withdrawn) == (1, 2, 1)
    assert latest(settings) == {"a": False, "b": True}
    gone = landed(settings, "items").filter(~pl.col("available")).row(0, named=True)
    assert (gone["title"], gone["category"], gone["date"]) == ("A", "Audio", LATER.date())
    assert (gone["position"], gone["problem"], gone["parked"]) == (3, None, False)
    # withdrawn once, and back when it is back
    third = snapshot(settings, tmp_path, "item_id,title,category\nb,B3,Audio\n", LATER)
    assert third.withdrawn == 0
    snapshot(settings, tmp_path, ITEMS, LATER + timedelta(days=1))
    assert latest(settings) == {"a": True, "b": True}


@pytest.mark.parametrize("line", ["torn line\n", ",no id,Audio\n"])
def test_a_snapshot_with_an_unreadable_item_withdraws_nothing(settings, tmp_path, line):
    snapshot(settings, tmp_path, ITEMS, RECEIVED)
    summary = snapshot(settings, tmp_path, "item_id,title,category\nb,B,Audio\n" + line, LATER)
    assert summary.withdrawn == 0
    assert "no item was withdrawn" in summary.notices[-1]
    assert latest(settings)["a"]


def test_an_empty_snapshot_withdraws_nothing(settings, tmp_path):
    snapshot(settings, tmp_path, ITEMS, RECEIVED)
    snapshot(settings, tmp_path, "item_id,title,category\n", LATER)
    assert landed(settings, "items").height == 2


def test_a_withdrawal_ends_the_version_before_it(settings, tmp_path):
    timed = "item_id,title,category,updated_at\na,A,C,{at}\nb,B,C,{at}\n"
    at = RECEIVED - timedelta(hours=1)
    snapshot(settings, tmp_path, timed.format(at=at.isoformat()), RECEIVED)
    rest = timed.format(at=at.isoformat()).replace("a,A,C", "c,C,C")
    snapshot(settings, tmp_path, rest, RECEIVED + timedelta(minutes=1))
    versions = landed(settings, "items").filter(pl.col("item_id") == "a").sort("updated_at")
    assert versions["available"].to_list() == [True, False]
    assert versions["date"].to_list() == [RECEIVED.date()] * 2


def test_the_time_of_receipt_may_be_of_any_zone(settings, tmp_path):
    from zoneinfo import ZoneInfo

    received = datetime(2025, 6, 1, 23, 30, tzinfo=ZoneInfo("America/New_York"))
    ingest(settings, write(tmp_path, "f.csv", HEADER + "u,i\n"), received_at=received)
    assert landed(settings)["date"].to_list() == [date(2025, 6, 2)]


def test_every_error_is_of_ours(settings, tmp_path):
    for name in ("x.csv", ".", "s3:/x", "http://host/x"):
        with pytest.raises(RecsysError):
            ingest(settings, name)
