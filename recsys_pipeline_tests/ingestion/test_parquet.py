from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.errors import SourceError
from recsys_pipeline_tests.ingestion.files import RECEIVED, blocks_of, landed_of, write

MOMENT = datetime(2025, 5, 1, 10, 20, 30, 123456, tzinfo=UTC)


def parquet(folder, columns, **options) -> str:
    path = folder / "f.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def test_every_type_becomes_text(tmp_path):
    columns = {
        "text": ["a", None],
        "number": pa.array([2**63, 1], pa.uint64()),
        "real": [1.5, float("nan")],
        "flag": [True, None],
        "exact": [Decimal("1.20"), None],
        "nested": [{"k": [1, 2]}, None],
        "bytes": [b"ok", b"\xff"],
        "coded": pa.array(["x", "y"]).dictionary_encode(),
        "nothing": pa.nulls(2),
        "clock": pa.array([1, None], pa.time64("us")),
        "span": pa.array([1, None], pa.duration("s")),
    }
    read, _ = blocks_of(parquet(tmp_path, columns))
    first, second = read.rows(named=True)
    assert first == {
        "text": "a", "number": "9223372036854775808", "real": "1.5", "flag": "true",
        "exact": "1.20", "nested": '{"k":[1,2]}', "bytes": "ok", "coded": "x", "nothing": None,
        "clock": "00:00:00.000001", "span": "0:00:01", "#": 1,
    }  # fmt: skip
    assert (second["real"], second["bytes"], second["#"]) == ("NaN", "\\xff", 2)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([MOMENT], pa.timestamp("us", "UTC")),
        ([MOMENT], pa.timestamp("ns", "America/New_York")),
        ([MOMENT.replace(tzinfo=None)], pa.timestamp("us")),
        ([MOMENT.isoformat()], pa.string()),
        ([1746094830123], pa.int64()),
        ([MOMENT.date()], pa.date32()),
    ],
)
def test_times_of_every_type(tmp_path, values, kind):
    columns = {"user_id": [1], "item_id": [2], "interaction_type": ["view"]}
    path = parquet(tmp_path, columns | {"timestamp": pa.array(values, kind)})
    row = landed_of(path).row(0, named=True)
    whole = datetime(2025, 5, 1, tzinfo=UTC) if kind == pa.date32() else MOMENT
    expected = MOMENT.replace(microsecond=123000) if kind == pa.int64() else whole
    assert (row["user_id"], row["timestamp"], row["problem"]) == ("1", expected, None)
    assert row["date"] == date(2025, 5, 1)


def test_a_typed_time_that_is_no_event_time_is_kept_as_text(tmp_path):
    columns = {
        "user_id": ["u"], "item_id": ["i"], "rating": [4.0],
        "timestamp": [datetime(2300, 1, 1, tzinfo=UTC)], "shipped": [MOMENT],
    }  # fmt: skip
    row = landed_of(parquet(tmp_path, columns)).row(0, named=True)
    assert (row["problem"], row["timestamp"], row["date"]) == (
        "timestamp.range", None, RECEIVED.date(),
    )  # fmt: skip
    assert "2300-01-01" in row["raw"]
    assert "2025-05-01 10:20:30.123456" in row["context"]


def test_positions_run_on_over_batches(tmp_path, monkeypatch):
    from recsys_pipeline.ingestion.readers import parquet as reader

    monkeypatch.setattr(reader, "BATCH_ROWS", 3)
    read, _ = blocks_of(parquet(tmp_path, {"a": range(10)}, row_group_size=4))
    assert read.rows() == [(str(i), i + 1) for i in range(10)]


def test_damaged_files_are_refused(tmp_path):
    whole = (tmp_path / "f.parquet", parquet(tmp_path, {"a": range(1000)}))[0].read_bytes()
    for name, data in (("half", whole[: len(whole) // 2]), ("text", b"a,b\n1,2\n")):
        with pytest.raises(SourceError, match="Parquet file"):
            blocks_of(write(tmp_path, f"{name}.parquet", data))
    packed = write(tmp_path, "g.parquet.gz", gzip.compress(whole))
    with pytest.raises(SourceError, match="inside gzip"):
        blocks_of(packed)
