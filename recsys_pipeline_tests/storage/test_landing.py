from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections import Counter

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.errors import ContractError, LandingError
from recsys_pipeline.ingestion import batches
from recsys_pipeline.storage import landing as landing_module
from recsys_pipeline.storage import landing_table
from recsys_pipeline.storage.delta_files import DataFiles
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.storage.landing_rows import DAY, RECEIVED, landed, lander, rows

KEY = "f" * 64
BATCH = "f" * 16 + "-1"


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(str(tmp_path), "interactions")


def append(landing, key, positions, **more) -> bool:
    return landing.append([rows(f"{key}-1", positions)], tenant="acme", key=key, sequence=1, **more)


def land(root, point, replaces="") -> subprocess.CompletedProcess:
    process = lander(str(root), KEY, point, replaces)
    out, err = process.communicate("go\n", timeout=120)
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.parametrize("replaces", ["", pytest.param("old-1", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "point",
    [
        pytest.param("reading", marks=pytest.mark.slow),
        pytest.param("staged", marks=pytest.mark.slow),
        "committed",
    ],
)
def test_a_killed_landing_leaves_all_or_nothing_and_its_repeat_lands_once(
    tmp_path, landing, point, replaces
):
    plan = batches.Batch("old-1", "interactions", "acme", "file:old", "old", 1, None, RECEIVED)
    batches.land_batch(landing, plan, [rows("old-1", range(5))], start_date=DAY)
    old = [] if replaces else [("old-1", n) for n in range(5)]
    new = [(BATCH, n) for n in range(40)]

    assert land(tmp_path, point, replaces).returncode == -9
    before = [("old-1", n) for n in range(5)]
    assert landed(landing) == (new + old if point == "committed" else before)
    killed = batches.show_batch(str(tmp_path), BATCH, start_date=DAY)
    assert killed.state == ("landed" if point == "committed" else "unfinished")
    assert (killed.batch.counts is not None) == (point == "committed")

    again = land(tmp_path, "never", replaces)
    assert again.returncode == 0, again.stderr
    assert again.stdout.split()[-1] == ("already" if point == "committed" else "landed")
    assert landed(landing) == new + old
    status = batches.show_batch(str(tmp_path), BATCH, start_date=DAY)
    assert (status.state, status.batch.counts.landed, status.batch.counts.days) == ("landed", 40, 3)


@pytest.mark.parametrize(
    "frame",
    [
        rows("a-1", [1]).drop("raw"),
        rows("a-1", [1]).with_columns(pl.col("position").cast(pl.Int32)),
        rows("a-1", [1]).select(sorted(rows("a-1", [1]).columns)),
        rows("a-1", [1], tenant="beta"),
        rows("a-1", [1]).with_columns(tenant=pl.lit(None, pl.String)),
        rows("a-1", [1]).with_columns(date=pl.lit(None, pl.Date)),
    ],
)
def test_a_frame_that_breaks_the_contract_is_refused(landing, frame):
    with pytest.raises(ContractError, match="refuses"):
        landing.append([rows("a-1", [0]), frame], tenant="acme", key="a", sequence=1)
    assert landed(landing) == []


@settings(max_examples=12, deadline=None)
@given(
    uploads=st.lists(
        st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["acme", "beta"])), max_size=12),
        max_size=5,
    ),
    compact_after=st.sets(st.integers(0, 4)),
    retracted=st.sets(st.integers(0, 4)),
)
def test_content_and_rows_whatever_the_layout(uploads, compact_after, retracted):
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as other:
        straight, winding = Landing(plain, "interactions"), Landing(other, "interactions")
        expected: Counter = Counter()
        for number, upload in enumerate(uploads):
            for tenant in ("acme", "beta"):
                positions = sorted({p for p, owner in upload if owner == tenant})
                batch = f"{tenant}{number}-1"
                frame = rows(batch, positions, tenant=tenant)
                where = {"tenant": tenant, "key": f"{tenant}{number}", "sequence": 1}
                halves = [frame[: len(frame) // 2], frame[len(frame) // 2 :]]
                winding.append(halves, **where)
                if number in retracted:
                    continue
                straight.append([frame], **where)
                expected.update((row["date"], tenant) for row in frame.iter_rows(named=True))
            if number in compact_after:
                winding.compact()
        for number in sorted(retracted & set(range(len(uploads)))):
            for tenant in ("acme", "beta"):
                winding.retract(f"{tenant}{number}-1")
        assert landed(winding) == landed(straight)
        content = winding.snapshot().content()
        assert content == straight.snapshot().content()
        assert {pair: one.rows for pair, one in content.items()} == dict(expected)


def test_content_read_from_files_is_content_told_by_the_log(landing, monkeypatch):
    append(landing, "a", range(9))
    append(landing, "b", range(4, 30))
    told = landing.snapshot().content()
    unknown = landing.snapshot()
    unknown._live = unknown._live.with_columns(pl.lit(None, pl.Int64).alias("num_records"))
    assert unknown.content() == told


def test_the_log_never_names_a_user(tmp_path, landing):
    append(landing, "a", range(9))
    append(landing, "b", range(9))
    landing.compact()
    landing.retract("b-1")
    logs = list((tmp_path / "raw_interactions/_delta_log").iterdir())
    assert len(logs) > 4
    text = b"".join(path.read_bytes() for path in logs if path.suffix == ".json")
    assert b"user-" not in text
    checkpoint = pl.read_parquet(next(p for p in logs if p.suffix == ".parquet"))
    assert "user-" not in json.dumps(checkpoint.to_dicts(), default=str)


def test_files_are_zstd_and_laid_out_by_day_and_tenant(tmp_path, landing):
    append(landing, "a", range(9))
    append(landing, "b", range(9))
    landing.compact()
    import pyarrow.parquet as pq

    live = landing.snapshot()._live["path"].to_list()
    assert sorted(path.rpartition("/")[0] for path in live) == [
        f"date=2025-01-0{n}/tenant=acme" for n in (1, 2, 3)
    ]
    metadata = pq.read_metadata(tmp_path / "raw_interactions" / live[0])
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_compaction_keeps_to_its_file_size(landing, monkeypatch):
    from recsys_pipeline.storage import delta_files

    noise = random.Random(7)  # incompressible, so that sizes add up
    for number in range(12):
        frame = rows(f"k{number}-1", range(30)).with_columns(
            raw=pl.Series([noise.randbytes(2_000).hex() for _ in range(30)])
        )
        landing.append([frame], tenant="acme", key=f"k{number}", sequence=1)
    size = max(landing.snapshot()._live["size_bytes"])
    monkeypatch.setattr(delta_files, "TARGET_BYTES", 5 * size)
    monkeypatch.setattr(landing_module, "BINS", 2)
    before = landing.snapshot()
    landing.compact()
    after = landing.snapshot()
    assert after.version > before.version + 1, "bounded work per commit"
    assert max(after._live["size_bytes"]) <= 5 * size
    per_day = after._live.group_by("partition.date").len()["len"]
    assert 3 <= per_day.min() <= per_day.max() <= 6
    assert after.content() == before.content()


@pytest.mark.parametrize("name", ["a b", "env=prod", "[z]*", "é", "x=1 #?"])
def test_odd_roots(tmp_path, name):
    landing = Landing(str(tmp_path / name), "interactions")
    append(landing, "a", range(9))
    append(landing, "b", range(9))
    landing.compact()
    landing.retract("b-1")
    assert landed(landing) == [("a-1", n) for n in range(9)]
    assert len(landing.snapshot().content()) == len(landing.changes(-1)) == 3


def test_a_root_that_delta_would_decode_is_refused(tmp_path):
    with pytest.raises(LandingError, match="%"):
        Landing(str(tmp_path / "x%20y"), "items")


def test_contention_without_end_is_told(landing, monkeypatch):
    append(landing, "a", range(3))
    append(landing, "b", range(3))
    monkeypatch.setattr(Landing, "_commit", lambda *_: False)
    for act in (
        lambda: append(landing, "c", range(3)),
        lambda: landing.retract("a-1"),
        landing.compact,
    ):
        with pytest.raises(LandingError, match="lost 20 commits"):
            act()


MEMORY = """
import resource, sys
import polars as pl
from recsys_pipeline.storage.landing import Landing
from recsys_pipeline_tests.storage.landing_rows import rows
one = pl.concat([rows("a-1", range(1000), days=90)] * 100)
frames = (one for _ in range(int(sys.argv[2])))
Landing(sys.argv[1], "interactions").append(frames, tenant="acme", key="a", sequence=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path):
    peaks = []
    for count in (20, 60):
        command = [sys.executable, "-c", MEMORY, str(tmp_path / str(count)), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] * 1.15, peaks


def test_a_commit_written_where_the_log_no_longer_is_counts_for_nothing(tmp_path, monkeypatch):
    """A process suspended between looking up the next version and writing it."""
    landing = Landing(str(tmp_path), "interactions")
    landing.append([rows("first", range(3))], tenant="acme", key="first", sequence=1)
    monkeypatch.setattr(landing_table, "PAUSE_SECONDS", 0.0)
    real = DeltaTable.create_write_transaction
    lost = []

    def unread(self, *args, **more):
        if not lost:
            lost.append(1)  # it says that it has succeeded, and no version has it
            return None
        return real(self, *args, **more)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", unread)
    assert landing.append([rows("b", range(5))], tenant="acme", key="b", sequence=1)
    assert lost
    assert landing.sequence("acme", "b") == 1
    assert landing.snapshot().scan().collect().height == 8


def _upload(landing):
    return landing.append([rows("acme-1", [0])], tenant="acme", key="k", sequence=1)


def _offsets(landing):
    landing.append_offsets(rows("kafka/a", [0]), app_id="kafka/a", after=None, end=1)


@pytest.mark.parametrize("land", [_upload, _offsets])
def test_files_that_the_vacuum_may_have_taken_are_not_committed(landing, monkeypatch, land):
    """A writer was suspended for two days between its first file and the commit."""
    write = DataFiles.write

    def slowly(self, rows):
        write(self, rows)
        self._began -= 2 * 86_400_000

    monkeypatch.setattr(DataFiles, "write", slowly)
    with pytest.raises(LandingError, match="ago"):
        land(landing)
    monkeypatch.undo()
    assert landing.snapshot().scan().collect().is_empty()
    assert _upload(landing)
