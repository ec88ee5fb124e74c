"""Every line of docs/reading.md reads what the table's files hold, and nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from recsys_pipeline.schemas.tables import CONTRACTS
from recsys_pipeline.storage.landing import TABLES, Landing
from recsys_pipeline_tests.landed import all_days, item_version, land, run_days, settings_for
from recsys_pipeline_tests.releases import DAYS, release, small_root

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text("utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINES = {
    section.splitlines()[0]: block[1].splitlines()
    for section in PAGE.split("\n## ")[1:]
    if (block := BLOCK.search(section))
}
PATH = re.compile(r"(?:data/|RELEASE/)[\w/.]+")
OF_RELEASE = ("train", "vocabularies/items", "item_frequencies", "catalogue")


def table_of(line: str) -> str:
    """Return the table that a line reads, e.g. `raw_items` or `RELEASE/train`."""
    path = PATH.search(line)[0].removeprefix("data/").rstrip("/")
    return path.removesuffix(".parquet").rstrip("/*") or path


def cases(tool: str) -> list[str]:
    return [pytest.param(line, id=table_of(line)) for line in LINES[tool]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A root in which every table has rows, and its releases; killed runs have left things."""
    folder = tmp_path_factory.mktemp("reader")
    root = small_root(folder / "data")
    land(root, [item_version(item="bad", title="")], "bad", "items")
    run_days(settings_for(root), all_days(DAYS))
    made, other = release(root), release(root, seed=9)
    shutil.rmtree(root / "_meta" / "unfinished", ignore_errors=True)
    left = root / "_meta" / "unfinished"
    left.mkdir()
    shutil.copy(f"{made.uri}/catalogue.parquet", left / "left.parquet")
    Path(other.uri, "manifest.json").unlink()
    return folder, Path(made.uri).relative_to(folder)


@pytest.fixture
def read(made, monkeypatch):
    """Evaluate a line of the page in the folder that holds `data`."""
    folder, where = made
    monkeypatch.chdir(folder)

    def read(line, **names):
        return eval(line.replace("RELEASE", str(where)), {"DeltaTable": DeltaTable, **names})

    return read


def expected(made, table: str) -> tuple[int, set[str]]:
    """Rows and columns, file by file; those of a landing as our own reader sees it."""
    folder, where = made
    kinds = {name: kind for kind, name in TABLES.items()}
    if table in kinds:
        rows = Landing(str(folder / "data"), kinds[table]).snapshot().scan().collect()
        return rows.height, set(rows.columns)
    inside = table.removeprefix("RELEASE/")
    if inside == table:
        paths = sorted((folder / "data" / table).glob("date=*/tenant=*/part-0.parquet"))
        levels = {"date", "tenant"}
    else:
        place = folder / where / inside
        paths = sorted(place.glob("*.parquet")) or [place.with_name(f"{place.name}.parquet")]
        levels = set()
    frames = [pl.read_parquet(path, hive_partitioning=False) for path in paths]
    return sum(frame.height for frame in frames), {*frames[0].columns, *levels}


def check(made, line, rows, columns):
    count, names = expected(made, table_of(line))
    assert rows == count > 0
    assert set(columns) == names


@pytest.mark.parametrize("tool", ["Polars", "DuckDB", "pandas", "Spark"])
def test_each_tool_has_a_line_for_each_table(tool):
    tables = {*CONTRACTS, *(f"RELEASE/{name}" for name in OF_RELEASE)}
    without = set(TABLES.values()) if tool == "Spark" else set()
    assert sorted(map(table_of, LINES[tool])) == sorted(tables - without)


@pytest.mark.parametrize("line", cases("Polars"))
def test_polars(read, made, line):
    rows = read(line, pl=pl).collect()
    check(made, line, rows.height, rows.columns)
    if {"date", "tenant"} <= set(rows.columns):
        assert rows.schema["date"] == pl.Date
        assert set(rows["tenant"]) <= {"acme", "beta"}


@pytest.mark.parametrize("line", cases("DuckDB"))
def test_duckdb(read, made, line):
    duckdb = pytest.importorskip("duckdb")
    rows = read(line, duckdb=duckdb)
    check(made, line, len(rows.fetchall()), rows.columns)
    if "date" in rows.columns:
        assert str(dict(zip(rows.columns, rows.types, strict=True))["date"]) == "DATE"


@pytest.mark.parametrize("line", cases("pandas"))
def test_pandas(read, made, line):
    pandas = pytest.importorskip("pandas")
    rows = read(line, pd=pandas)
    check(made, line, len(rows), rows.columns)


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql")
    session = (
        sql.SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.mark.slow
@pytest.mark.parametrize("line", cases("Spark"))
def test_spark(read, made, spark, line):
    # Spark takes a relative path by the folder in which its JVM was started
    folder, _ = made
    rows = read(re.sub(r'"(?=data/|RELEASE)', f'"{folder}/', line), spark=spark)
    check(made, line, rows.count(), rows.columns)
