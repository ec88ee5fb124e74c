"""Feast's point-in-time join over our files equals ours; skipped without an environment that has Feast."""

from __future__ import annotations

import ast
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from examples import feast
from examples.feast.__main__ import main, retrieve
from examples.feast.compare import differences, entities_of, read_samples
from recsys_pipeline_tests.releases import day, small_root

# Python of an environment with Feast, whose pins are not ours; examples/README.md says how to make it
FEAST_PYTHON = os.environ.get("FEAST_PYTHON")


def midnight(number: int) -> datetime:
    return datetime.combine(day(number), datetime.min.time(), UTC)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_root(tmp_path_factory.mktemp("root"))


def test_samples_are_entities_and_what_differs_is_counted(root):
    samples = read_samples(root, 50)
    assert 25 < len(samples) <= 50
    assert entities_of(samples).columns == ["tenant", "user_id", "item_id", "event_timestamp"]
    assert {"user_num_views", "item_popularity_score"} < set(samples.columns)
    assert not {"item_category", "item_price"} & set(samples.columns)
    found = samples.rename(
        {
            name: name.replace("_", "_features__", 1)
            for name in samples.columns
            if name.startswith(("user_", "item_")) and name not in ("user_id", "item_id")
        }
    )
    assert set(differences(samples, found[::-1]).values()) == {0}
    known = int(samples["user_num_views"].count())
    assert 0 < known < len(samples)  # some users have no history
    other = found.with_columns(pl.col("user_features__num_views") + 1)
    assert differences(samples, other) == {
        name: known if name == "user_num_views" else 0 for name in differences(samples, found)
    }
    assert differences(samples, found.head(0))["user_num_views"] == known


@pytest.mark.parametrize("name", ["definitions", "retrieve"])
def test_what_runs_in_feasts_environment_imports_nothing_of_the_pipeline(name):
    module = ast.parse((Path(feast.__file__).parent / f"{name}.py").read_text("utf-8"))
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    assert "feast" in found
    assert not {
        one for one in found if one.startswith(("recsys_pipeline", "polars", "examples"))
    } - {"examples.feast.definitions"}


needs_feast = pytest.mark.skipif(
    not FEAST_PYTHON, reason="FEAST_PYTHON names no environment that has Feast"
)


@needs_feast
@pytest.mark.slow
def test_feasts_join_of_samples_is_ours(root, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--python", FEAST_PYTHON, "--root", str(root)])
    assert ended.value.code == 0
    assert " 0 of " in capsys.readouterr().out


@needs_feast
@pytest.mark.slow
def test_feast_at_the_edges_of_a_day(root):
    """At any time of day D what Feast finds is of the days before D; at D's end it is of D too."""
    paths = sorted(root.glob("user_features/date=*/tenant=acme/*.parquet"))
    rows = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])
    user = rows.group_by("user_id").len().sort("len", "user_id")["user_id"][-1]
    known = dict(
        rows.filter(pl.col("user_id") == user).select("as_of", "total_interactions").rows()
    )
    times = [
        midnight(n) + shift
        for n in range(1, 9)
        for shift in (timedelta(), timedelta(microseconds=-1), timedelta(hours=13))
    ]
    samples = pl.DataFrame(
        {"tenant": "acme", "user_id": user, "item_id": "i1", "timestamp": times},
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )
    found = retrieve(FEAST_PYTHON, root, samples)
    told = dict(found.select("timestamp", "user_features__total_interactions").rows())
    for at in times:
        earlier = [
            as_of
            for as_of in known
            if as_of <= at.replace(hour=0, minute=0, second=0, microsecond=0)
        ]
        assert told[at] == (known[max(earlier)] if earlier else None), at
