"""The key file against a naive reading of the file, line by line, with rules of its own."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from datetime import UTC, date, datetime

import polars as pl
import pytest

from recsys_pipeline.generator.config import GeneratorConfig
from recsys_pipeline.generator.faults import faults, open_quote
from recsys_pipeline.generator.generate import generate
from recsys_pipeline.schemas import landing
from recsys_pipeline.schemas.interactions import Interaction
from recsys_pipeline.schemas.items import Item
from recsys_pipeline.schemas.rules import rules

START = date(2025, 1, 1)
TYPES = {"view", "click", "like", "add_to_cart", "purchase"}
RECEIVED = datetime(2025, 6, 1, tzinfo=UTC)
LIMITS = {"title": 500, "category": 100, "brand": 200, "description": 10_000}


def rows_of(path, file_format):
    """Yield (position, row or None when unreadable)."""
    if file_format == "parquet":
        yield from enumerate(pl.read_parquet(path).to_dicts(), start=1)
        return
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    header = next(csv.reader([lines[0].decode()])) if file_format == "csv" else None
    for position, line in enumerate(lines, start=1):
        if header and position == 1:
            continue
        yield position, parsed(line, header)


def parsed(line, header):
    try:
        text = line.decode()
        row = json.loads(text) if header is None else next(csv.reader([text], strict=True))
    except (ValueError, csv.Error):
        return None
    if header is None:
        return row if isinstance(row, dict) else None
    if len(row) != len(header):
        return None
    return {name: cell or None for name, cell in zip(header, row, strict=True)}


def moment(value):
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def number(value):
    try:
        return float(value)
    except ValueError:
        return None


def id_problem(name, value):
    if value is None:
        return f"{name}.required"
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        return f"{name}.form"
    return f"{name}.length" if len(value) > 255 else None


def number_problem(name, value, high):
    if value is None:
        return None
    value = number(value)
    if value is None:
        return f"{name}.readable"
    return f"{name}.range" if math.isnan(value) or not 0 <= value <= high else None


def time_problem(name, value):
    at = moment(value)
    if at is None:
        return f"{name}.readable"
    if not 1970 <= at.year <= 2261:
        return "timestamp.range"
    return "timestamp.not_future" if at > RECEIVED else None


def interaction_problems(row):
    yield time_problem("timestamp", row["timestamp"])
    yield id_problem("user_id", row["user_id"])
    yield id_problem("item_id", row["item_id"])
    if row["interaction_type"] is None and row["rating"] is None:
        yield "interaction_type.required"
    elif row["interaction_type"] not in {None, *TYPES}:
        yield "interaction_type.allowed"
    yield number_problem("rating", row["rating"], 5)
    if row.get("event_id") is not None:
        yield id_problem("event_id", row["event_id"])


def item_problems(row):
    yield id_problem("item_id", row["item_id"])
    yield number_problem("price", row["price"], 1e12)
    for name, limit in LIMITS.items():
        value = row[name]
        if value is None:
            yield f"{name}.required" if name in ("title", "category") else None
        elif len(value) > limit:
            yield f"{name}.length"
    if row["updated_at"] is not None:
        yield time_problem("updated_at", row["updated_at"])
    if row["available"] not in (None, "true", "false"):
        yield "available.readable"


def identity(row, table):
    if table == "items":
        return row["item_id"]
    if "event_id" in row:
        return row["event_id"]
    return tuple(
        row[name] for name in ("user_id", "item_id", "interaction_type", "timestamp", "rating")
    )


def judge(path, table, file_format):
    """Return {position: (reason, day)} of every row that is not good, and the count of rows."""
    problems = interaction_problems if table == "interactions" else item_problems
    found, seen, rows = {}, {}, 0
    for position, row in rows_of(path, file_format):
        rows += 1
        if row is None:
            found[position] = ("line.readable", "parked", None)
            continue
        broken = [reason for reason in problems(row) if reason]
        assert len(broken) <= 1, (position, broken)
        day = moment(row["timestamp"]) if table == "interactions" else None
        day = day.date().isoformat() if day else None
        if broken:
            parked = broken[0].startswith(("timestamp.", "updated_at."))
            found[position] = (broken[0], "parked" if parked else day, None)
        elif (key := identity(row, table)) in seen:
            found[position] = ("duplicate", day, seen[key])
        else:
            seen[key] = position
    return found, rows


CASES = [
    {"file_format": "csv"},
    {"file_format": "csv", "event_ids": False},
    {"file_format": "jsonl"},
    {"file_format": "parquet"},
    {"file_format": "parquet", "event_ids": False},
    {"file_format": "csv", "days": 3, "events": 150_000},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_key_says_what_a_naive_reader_finds(tmp_path, case):
    values = {"events": 8_000, "items": 3_000, "days": 20, "dirty": 0.03, **case}
    config = GeneratorConfig(start=START, **values)
    files = generate(config, tmp_path)
    entries = [json.loads(line) for line in files.injected.read_text().splitlines()]
    for table, path, rows, injected, good in (
        ("interactions", files.interactions, files.interaction_rows,
         files.injected_interactions, config.events),
        ("items", files.items, files.item_rows, files.injected_items, config.items),
    ):  # fmt: skip
        key = [entry for entry in entries if entry["file"] == path.name]
        found, counted = judge(path, table, config.file_format)
        assert {
            entry["position"]: (entry["reason"], entry["day"], entry.get("repeats"))
            for entry in key
        } == found
        assert [entry["position"] for entry in key] == sorted(found)
        assert counted == rows == good + injected == good + len(key)
        assert injected / rows == pytest.approx(0.03, abs=0.002)
        for entry in key:
            assert (entry["outcome"] == "duplicate") == (entry["reason"] == "duplicate")
        kinds = Counter(entry["kind"] for entry in key)
        last = open_quote(table, config)
        expected = {fault.kind for fault in faults(table, config)}
        assert set(kinds) == expected | ({last.kind} if last else set())
        turns = [kinds[kind] for kind in expected]
        assert max(turns) - min(turns) <= 1


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_good_rows_are_those_of_a_clean_run(tmp_path, file_format):
    values = {"start": START, "events": 3_000, "items": 500, "days": 5, "file_format": file_format}
    clean = generate(GeneratorConfig(**values), tmp_path / "clean")
    dirty = generate(GeneratorConfig(**values, dirty=0.05), tmp_path / "dirty")
    entries = [json.loads(line) for line in dirty.injected.read_text().splitlines()]
    bad = {entry["position"] for entry in entries if entry["file"] == dirty.interactions.name}
    kept = [
        row for position, row in rows_of(dirty.interactions, file_format) if position not in bad
    ]
    assert kept == [row for _, row in rows_of(clean.interactions, file_format)]


@pytest.mark.parametrize("events", [90, 1_000, 30_000])
def test_no_day_comes_near_the_limit(tmp_path, events):
    config = GeneratorConfig(start=START, events=events, days=30, dirty=0.09, seed=3)
    files = generate(config, tmp_path)
    good = Counter()
    found, _ = judge(files.interactions, "interactions", "csv")
    for position, row in rows_of(files.interactions, "csv"):
        if position not in found:
            good[row["timestamp"][:10]] += 1
    rejected = Counter(day for reason, day, _ in found.values() if reason != "duplicate")
    del rejected["parked"]
    for day, bad in rejected.items():
        assert bad / (bad + good[day]) < 0.1


def test_every_reason_that_a_file_can_cause_is_injected():
    reasons = set()
    for file_format in ("csv", "jsonl", "parquet"):
        config = GeneratorConfig(start=START, file_format=file_format)
        for table in ("interactions", "items"):
            reasons |= {fault.reason for fault in faults(table, config)}
    known = {rule.code for model in (Interaction, Item) for rule in rules(model)}
    known |= {*landing.PROBLEM_WORDS, "duplicate"}
    assert reasons <= known
    # set by the pipeline itself; a missing time is an unreadable one
    own = {f"{name}.required" for name in ("date", "tenant", "timestamp", "available")}
    own.add(landing.USER_ERASED)
    # a file's tenant is an argument, a message's is in it
    own |= {code for code in known if code.startswith("tenant.")}
    # a version's day is its updated_at: one out of range is parked as timestamp.range
    assert known - reasons == {*own, "updated_at.range"}


def test_a_clean_run_removes_an_older_key(tmp_path):
    values = {"start": START, "events": 500, "items": 50, "days": 5}
    assert generate(GeneratorConfig(**values, dirty=0.05), tmp_path).injected.exists()
    assert generate(GeneratorConfig(**values), tmp_path).injected is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["interactions.csv", "items.csv"]
