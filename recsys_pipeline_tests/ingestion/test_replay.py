"""Replay lands what a mended mapping would have landed, once, whoever races, repeats or dies."""

from __future__ import annotations

import json
import tempfile
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.checks.quarantine import _conservation
from recsys_pipeline.engines.pending import standings
from recsys_pipeline.errors import MappingError, SettingsError
from recsys_pipeline.ingestion.batches import retract_batch
from recsys_pipeline.ingestion.ingest import Options, ingest_files
from recsys_pipeline.ingestion.messages import MessageRows, MessageSource
from recsys_pipeline.ingestion.replay import Selection, replay
from recsys_pipeline.schemas.landing import TENANT_AGREES, TENANT_KNOWN, USER_ERASED
from recsys_pipeline.storage.erased import Erased, read_erased, remember
from recsys_pipeline.storage.horizons import Horizon, move_horizon
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline.storage.landing_repair import RepairableLanding
from recsys_pipeline.storage.objects import open_store
from recsys_pipeline.transforms.validation import split
from recsys_pipeline_tests.landed import (
    RECEIVED,
    START,
    file_hashes,
    run_days,
    settings_for,
    view_of,
)
from recsys_pipeline_tests.maintenance.kills import KilledError, kill_at  # noqa: F401  # the fixture

OLD = '[timestamp]\nform = "iso8601"\n'
NEW = '[timestamp]\nform = "auto"\n[event_types]\nbuy = "purchase"\nsee = "view"\n'
ALL = Selection("interactions", "acme")
# the last four are read by neither mapping, or are ahead of the receipt
TIMES = ["2025-01-01T10:00:00Z", "2025-01-02", "1735776000", "1735776000000"]
TIMES += ["", "soon", "2031-01-01", "1935776000"]
FIELDS = ("user_id", "item_id", "interaction_type", "timestamp", "rating", "event_id", "page")
ROWS = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["u1", "u2", ""]),
        "item_id": st.sampled_from(["i1", "i2"]),
        "interaction_type": st.sampled_from(["view", "buy", "see", "wink", ""]),
        "timestamp": st.sampled_from(TIMES),
        "rating": st.sampled_from(["", "", "4", "2.555", "9", "many"]),
        "event_id": st.sampled_from(["", "", "e1", "e2"]),
        "page": st.sampled_from(["", "home"]),
    }
)
# a bad row of each kind that the new mapping mends, and some that it doesn't
SOME = [
    ("u1", "i1", "buy", "2025-01-02", "", "", "x"),
    ("u1", "i2", "view", "1735776000", "3", "", ""),
    ("u2", "i1", "wink", "2025-01-02", "", "", ""),
    ("u2", "i2", "view", "soon", "", "", ""),
    ("u3", "i1", "view", "2025-01-02", "many", "", ""),
    ("u3", "i2", "view", "2025-01-02", "5", "", ""),
]


def csv_of(rows) -> str:
    return "\n".join([",".join(FIELDS), *(",".join(row) for row in rows)]) + "\n"


class Shop:
    """A root with a file landed under a mapping."""

    def __init__(self, folder, rows=SOME, mapping=OLD, name="f.csv", **values) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.settings = settings_for(folder / "data", **values)
        self.root = self.settings.storage_root
        self.new = self.write("new.toml", NEW)
        path = self.write(name, csv_of(rows))
        if name.endswith(".jsonl"):
            lines = [
                json.dumps({k: v for k, v in zip(FIELDS, row, strict=True) if v}) for row in rows
            ]
            path = self.write(name, "\n".join(lines) + "\n")
        self.batch = self.ingest(path, mapping)

    def write(self, name, text) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def ingest(self, path, mapping, kind="interactions", **options) -> str:
        rules = self.write("landed.toml", mapping)
        given_options = {"options": Options(**options), "received_at": RECEIVED}
        (done,) = ingest_files(self.settings, kind, [path], "acme", rules, **given_options)
        return done.batch_id

    def replay(self, selection=ALL, mapping="new.toml", **more):
        path = None if mapping is None else str(self.folder / mapping)
        return replay(self.settings, selection, path, **more)

    def landed(self, kind="interactions") -> pl.DataFrame:
        rows = Landing(self.root, kind).snapshot().scan().collect()
        return rows.sort("batch_id", "position")

    def version(self) -> int:
        return Landing(self.root, "interactions").snapshot().version


def valid(landed: pl.DataFrame) -> list[tuple]:
    return split(landed, "interactions").valid.rows()


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(ROWS, min_size=1, max_size=14),
    jsonl=st.booleans(),
    compacted=st.booleans(),
)
def test_it_equals_an_ingest_under_the_mended_mapping(rows, jsonl, compacted):
    with tempfile.TemporaryDirectory() as folder:
        name = "f.jsonl" if jsonl else "f.csv"
        # a file without a column that the mapping needs is refused as a whole
        full = ("u5", "i5", "view", TIMES[0], "3", "", "home")
        table = [full, *(tuple(row.values()) for row in rows)]
        shop = Shop(Path(folder) / "old", table, OLD, name)
        mended = Shop(Path(folder) / "new", table, NEW, name)
        before = shop.landed()
        if compacted:
            Landing(shop.root, "interactions").compact()
        done = shop.replay()
        after = shop.landed()
        assert valid(after) == valid(mended.landed())
        same = ["batch_id", "position", "received_at", "source"]
        assert after.select(same).rows() == before.select(same).rows()
        assert after.filter(pl.col("revision").is_not_null()).height == done.repaired.total()
        untouched = after.filter(pl.col("revision").is_null())
        assert (
            untouched.rows()
            == before.join(untouched, on=["batch_id", "position"], how="semi").rows()
        )
        version = shop.version()
        assert not shop.replay().repaired
        assert shop.version() == version


def test_repaired_days_are_stale_and_made_as_if_read_well_at_once(tmp_path):
    shop, mended = Shop(tmp_path / "old"), Shop(tmp_path / "new", mapping=NEW)
    days = [START + timedelta(days=n) for n in range(3)] + [RECEIVED.date()]
    run_days(shop.settings, days)
    assert {s.state for s in standings(view_of(shop.settings))} == {"current"}
    done = shop.replay()
    assert done.repaired == {"interaction_type.allowed": 1, "timestamp.readable": 1}
    assert done.left == {
        "interaction_type.allowed": 1,
        "rating.readable": 1,
        "timestamp.readable": 1,
    }
    # one row has gained its day, the other has stayed: same rows, same positions
    assert done.moved == 1
    stale = {s.day for s in standings(view_of(shop.settings)) if s.state != "current"}
    assert stale == {date(2025, 1, 2), RECEIVED.date()}
    view = run_days(shop.settings, days)
    assert _conservation("interactions", view, days).passed
    run_days(mended.settings, days)
    of_valid = [f"{t}/" for t in ("validated_interactions", "user_features", "training_samples")]
    found, expected = file_hashes(shop.root), file_hashes(mended.root)
    for table in of_valid:
        assert {p: h for p, h in found.items() if p.startswith(table)} == {
            p: h for p, h in expected.items() if p.startswith(table)
        }


def test_a_word_alone_makes_its_day_stale_each_time(tmp_path):
    rows = [
        ("u1", "i1", "buy", "2025-01-02", "", "", ""),
        ("u1", "i2", "see", "2025-01-02", "", "", ""),
    ]
    shop = Shop(tmp_path, rows)
    first = Landing(shop.root, "interactions").snapshot().content()
    shop.write("buy.toml", '[event_types]\nbuy = "purchase"\n')
    shop.write("see.toml", '[event_types]\nsee = "view"\n')
    seen = [first]
    for mapping in ("buy.toml", "see.toml"):
        assert shop.replay(mapping=mapping).repaired.total() == 1
        seen.append(Landing(shop.root, "interactions").snapshot().content())
    contents = [found[date(2025, 1, 2), "acme"] for found in seen]
    assert len({one.content for one in contents}) == 3
    assert {one.rows for one in contents} == {2}
    Landing(shop.root, "interactions").compact()
    assert Landing(shop.root, "interactions").snapshot().content() == seen[-1]


def test_the_batch_goes_on_being_one(tmp_path):
    shop = Shop(tmp_path)
    shop.replay()
    gone = retract_batch(shop.root, shop.batch, start_date=START)
    assert gone.rows == len(SOME)
    assert shop.landed().is_empty()
    assert not shop.replay().left


@pytest.mark.parametrize(
    ("selection", "repaired"),
    [
        ({"first": date(2025, 1, 2), "last": date(2025, 1, 2)}, 1),
        ({"first": date(2025, 1, 3)}, 1),
        ({"last": date(2025, 1, 1)}, 0),
        ({"reason": "timestamp.readable"}, 1),
        ({"reason": "rating.range"}, 0),
        ({"batch": "other-1"}, 0),
        ({"tenant": "beta"}, 0),
    ],
)
def test_what_is_not_selected_stays(tmp_path, selection, repaired):
    shop = Shop(tmp_path)
    before = shop.version()
    wanted = Selection(**{"kind": "interactions", "tenant": "acme", **selection})
    assert shop.replay(wanted).repaired.total() == repaired
    assert (shop.version() == before) == (repaired == 0)


def test_a_dry_run_says_what_a_run_does(tmp_path):
    shop = Shop(tmp_path)
    before = shop.version()
    said = shop.replay(dry_run=True)
    assert shop.version() == before
    assert shop.replay() == said


def test_nothing_landed(tmp_path):
    done = replay(settings_for(tmp_path / "none"), ALL)
    assert not done.repaired + done.left


def test_the_mapping_is_the_one_that_the_batch_landed_under(tmp_path):
    shop = Shop(tmp_path)
    shop.write("landed.toml", NEW)  # mended in its place
    done = shop.replay(mapping=None)
    assert (done.repaired.total(), done.mappings) == (2, [str(tmp_path / "landed.toml")])
    (tmp_path / "landed.toml").unlink()
    with pytest.raises(MappingError, match=r"landed\.toml"):
        shop.replay(mapping=None)


def test_erased_users_stay_empty(tmp_path):
    shop = Shop(tmp_path)
    objects = open_store(shop.root)
    remember(objects, "acme", frozenset({("u1", None)}), "2025-03-01T00:00:00Z")
    assert read_erased(objects).of("acme") is not None
    assert shop.replay().repaired == {"interaction_type.allowed": 1}
    blank = Shop(tmp_path / "later")
    remember(open_store(blank.root), "acme", frozenset({("u1", None)}), "2025-03-01T00:00:00Z")
    blank.ingest(blank.write("more.csv", csv_of(SOME[:2])), OLD)
    assert blank.replay().left[USER_ERASED] == 2


def test_rows_of_sealed_days_are_refused(tmp_path):
    shop = Shop(tmp_path)
    open_to = Horizon(kept_from={"raw_interactions": date(2025, 1, 3)})
    move_horizon(open_store(shop.root), "acme", lambda _: open_to)
    before = shop.landed()
    done = shop.replay()
    assert (done.sealed, done.repaired.total(), done.left.total()) == (2, 0, 5)
    assert shop.landed().equals(before)


def states(folder) -> tuple[pl.DataFrame, pl.DataFrame]:
    shop = Shop(folder)
    before = shop.landed()
    shop.replay()
    return before, shop.landed()


@pytest.mark.slow
def test_killed_while_it_writes_it_changes_nothing(tmp_path, kill_at):  # noqa: F811  # the fixture
    before, after = states(tmp_path / "expected")
    for number in range(20):
        shop = Shop(tmp_path / str(number))
        kill_at(number)
        try:
            shop.replay()
        except KilledError:
            kill_at(-1)
            assert shop.landed().equals(before)
            assert shop.replay().repaired.total() == 2
            assert shop.landed().equals(after)
        else:
            break
    assert number > 2


def test_killed_once_it_is_committed_it_is_done(tmp_path, monkeypatch):
    _, after = states(tmp_path / "expected")
    shop = Shop(tmp_path / "killed")

    def die(*_):
        raise KilledError

    monkeypatch.setattr(Landing, "_after_commit", die)
    with pytest.raises(KilledError):
        shop.replay()
    assert shop.landed().equals(after)
    assert not shop.replay().repaired


def test_a_commit_whose_answer_was_lost_is_told_as_done(tmp_path, monkeypatch):
    shop = Shop(tmp_path)
    commit = Landing._commit

    def unanswered(*arguments):
        commit(*arguments)
        return False

    monkeypatch.setattr(Landing, "_commit", unanswered)
    assert shop.replay().repaired.total() == 2


@pytest.mark.parametrize(
    "other",
    [
        "replay",
        "compact",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("retract", "append")),
    ],
)
def test_of_two_at_once_each_row_lands_once(tmp_path, monkeypatch, other):
    shop = Shop(tmp_path)
    shop.ingest(shop.write("g.csv", csv_of([("u9", *row[1:]) for row in SOME])), OLD)
    original = RepairableLanding._replace
    seen = []

    def overtaken(landing, *arguments):
        made = original(landing, *arguments)
        if not seen:
            seen.append(1)
            if other == "replay":
                seen.append(shop.replay())
            elif other == "compact":
                Landing(shop.root, "interactions").compact()
            elif other == "retract":
                retract_batch(shop.root, shop.batch, start_date=START)
            else:
                shop.ingest(shop.write("h.csv", csv_of(SOME[5:])), OLD)
        return made

    monkeypatch.setattr(RepairableLanding, "_replace", overtaken)
    done = shop.replay()
    rows = shop.landed()
    assert rows.select("batch_id", "position").is_duplicated().sum() == 0
    assert rows.height == {"retract": 6, "append": 13}.get(other, 12)
    expected = {"replay": 0, "retract": 2}.get(other, 4)
    assert done.repaired.total() == expected
    assert not shop.replay().repaired


def message_rows(shop, messages, headers):
    source = MessageSource("interactions", "kafka/c/t/id/0", "kafka:events/0", RECEIVED, START)
    reader = MessageRows(shop.settings, source, lambda _: pl.Series("item_id", []), Erased())
    texts = [json.dumps(one).encode() if isinstance(one, dict) else one for one in messages]
    return reader.rows(texts, range(100, 100 + len(texts)), headers)


def test_messages_of_no_tenant_go_to_theirs_once_it_is_known(tmp_path):
    shop = Shop(tmp_path, auto_tenants=True)
    strict = settings_for(tmp_path / "data", auto_tenants=False)
    shop.settings = strict
    tenants = strict.tenants_file
    tenants.parent.mkdir(exist_ok=True)
    tenants.write_text("[tenants.acme]\n")
    one = {"user_id": "u1", "item_id": "i1", "interaction_type": "view", "timestamp": "2025-01-02"}
    messages = [
        one | {"tenant": "zeta"},
        one | {"tenant": "zeta", "rating": "many"},
        one | {"tenant": "other"},
        one,
        one | {"tenant": "zeta"},
        b"torn",
    ]
    headers = ["zeta", None, None, "zeta", "acme", None]
    landing = Landing(shop.root, "interactions")
    rows = message_rows(shop, messages, headers)
    landing.append_offsets(rows, app_id="kafka/c/t/id/0", after=None, end=106)
    nobody = Selection("interactions", "unassigned")
    assert not replay(strict, nobody).repaired
    tenants.write_text("[tenants.acme]\n[tenants.zeta]\n# configured now\n")
    with pytest.raises(SettingsError, match="not for messages of no tenant"):
        replay(strict, nobody, "movielens")
    done = replay(strict, nobody)
    assert done.repaired == {TENANT_KNOWN: 2}
    assert done.left == {TENANT_KNOWN: 2, TENANT_AGREES: 1, "line.readable": 1}
    theirs = shop.landed().filter(tenant="zeta").select("position", "date", "problem")
    assert theirs.rows() == [
        (100, date(2025, 1, 2), None),
        (101, date(2025, 1, 2), "rating.readable"),
    ]
    assert landing.snapshot().offset("kafka/c/t/id/0") == 106
    assert not replay(strict, nobody).repaired


def test_items_keep_the_day_that_their_file_gave_them(tmp_path):
    shop = Shop(tmp_path)
    text = (
        "item_id,title,category,price,updated_at\n"
        "a,A,C,1.5 EUR,\nb,B,C,2,1735776000\nc,C,C,2,soon\nd,,C,2,\n"
    )
    shop.ingest(shop.write("items.csv", text), OLD, kind="items", as_of=date(2025, 1, 5))
    shop.write("items.toml", '[timestamp]\nform = "auto"\n[columns]\nprice = "cost"\n')
    done = shop.replay(Selection("items", "acme"), "items.toml")
    assert done.repaired == {"price.readable": 1, "updated_at.readable": 1}
    days = shop.landed("items").filter(pl.col("revision").is_not_null()).select("item_id", "date")
    assert days.rows() == [("a", date(2025, 1, 5)), ("b", date(2025, 1, 2))]
