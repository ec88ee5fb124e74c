from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import date

import polars as pl
import pytest

from recsys_pipeline.errors import SourceError
from recsys_pipeline.generator import generate as generator
from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.events import EVENT_COLUMNS
from recsys_pipeline.generator.generate import generate
from recsys_pipeline.generator.items import ITEM_COLUMNS

START = date(2025, 1, 1)
SMALL = {"start": START, "events": 3_000, "items": 400, "users": 300, "days": 7}


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("dirty", [0.0, 0.03])
@pytest.mark.parametrize(
    ("file_format", "compress"),
    [("csv", None), ("csv", "gzip"), ("jsonl", "zstd"), ("parquet", None)],
)
def test_the_same_seed_gives_the_same_bytes(tmp_path, file_format, compress, dirty):
    def run(name, seed):
        config = GeneratorConfig(
            **SMALL, seed=seed, file_format=file_format, compress=compress, dirty=dirty
        )
        generate(config, tmp_path / name)
        return digests(tmp_path / name)

    first = run("a", 1)
    assert run("b", 1) == first
    other = run("c", 2)
    assert set(other) == set(first)
    assert not set(other.values()) & set(first.values())


def test_another_process_gives_the_same_bytes(tmp_path):
    generate(GeneratorConfig(**SMALL, dirty=0.03), tmp_path / "here")
    script = (
        "from datetime import date; from pathlib import Path;"
        "from recsys_pipeline.generator.config import GeneratorConfig as C;"
        "from recsys_pipeline.generator.generate import generate;"
        f"generate(C(start=date(2025, 1, 1), events=3000, items=400, users=300, days=7,"
        f" dirty=0.03), Path({str(tmp_path / 'there')!r}))"
    )
    # set and string hashes differ between processes
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONHASHSEED": "7"})
    assert digests(tmp_path / "here") == digests(tmp_path / "there")


def test_the_formats_hold_the_same_rows(tmp_path):
    text = generate(GeneratorConfig(**SMALL), tmp_path)
    lines = generate(GeneratorConfig(**SMALL, file_format="jsonl"), tmp_path)
    binary = generate(GeneratorConfig(**SMALL, file_format="parquet"), tmp_path)
    table = pl.read_parquet(binary.interactions)
    assert tuple(table.columns) == EVENT_COLUMNS
    assert table.schema["timestamp"] == pl.Datetime("us", "UTC")
    as_text = table.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    assert pl.read_csv(text.interactions, schema=as_text.schema).equals(as_text)
    assert pl.read_ndjson(lines.interactions, schema=as_text.schema).equals(as_text)
    items = pl.read_parquet(binary.items)
    assert tuple(items.columns) == ITEM_COLUMNS
    assert pl.read_csv(text.items, schema=items.schema).equals(items)
    assert table["item_id"].is_in(items["item_id"].implode()).all()


def test_what_is_reported_is_what_is_there(tmp_path):
    done = []
    files = generate(GeneratorConfig(**SMALL), tmp_path, done.append)
    assert done == sorted(done)
    assert done[-1] == 3_000
    assert files.interaction_rows == pl.read_csv(files.interactions).height == 3_000
    assert files.item_rows == pl.read_csv(files.items).height == 400
    assert (files.start, files.end, files.days) == (START, date(2025, 1, 7), 7)
    assert files.injected_interactions == files.injected_items == 0


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    generate(GeneratorConfig(**SMALL, dirty=0.03), tmp_path)
    before = digests(tmp_path)

    def fail(*_, **__):
        raise RuntimeError("stop")

    monkeypatch.setattr(generator, "event_frame", fail)
    with pytest.raises(RuntimeError):
        generate(GeneratorConfig(**SMALL, dirty=0.03, seed=2), tmp_path)
    assert digests(tmp_path) == before


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(SourceError, match="can't be written"):
        generate(GeneratorConfig(**SMALL), tmp_path / "out")


_PEAK = """
import resource, sys
from datetime import date
from pathlib import Path
from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.generate import generate
config = GeneratorConfig(
    start=date(2025, 1, 1), days=2, users=10_000_000, events=int(sys.argv[1]), dirty=0.01,
    file_format=sys.argv[2],
)
generate(config, Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_memory_does_not_grow_with_events(tmp_path, file_format):
    def peak_mib(events):
        command = [sys.executable, "-c", _PEAK, str(events), file_format, str(tmp_path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(done.stdout) / 1024

    small, large = peak_mib(500_000), peak_mib(2_000_000)
    assert large < small + 60
    assert large < 1_000
