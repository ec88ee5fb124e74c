from __future__ import annotations

from datetime import date

import pytest

from recsys_pipeline.errors import SettingsError
from recsys_pipeline.generator.config import GeneratorConfig, parse_types, window

TODAY = date(2025, 4, 1)


@pytest.mark.parametrize(
    ("start", "end", "days", "expected"),
    [
        (None, None, None, (date(2025, 1, 1), 90)),
        (None, None, 1, (date(2025, 3, 31), 1)),
        (None, date(2025, 1, 10), 10, (date(2025, 1, 1), 10)),
        (date(2025, 1, 1), None, 5, (date(2025, 1, 1), 5)),
        (date(2025, 3, 1), None, None, (date(2025, 3, 1), 31)),
        (date(2025, 1, 1), date(2025, 1, 3), None, (date(2025, 1, 1), 3)),
        (date(2025, 1, 1), date(2025, 1, 3), 3, (date(2025, 1, 1), 3)),
    ],
)
def test_window(start, end, days, expected):
    assert window(start, end, days, today=TODAY) == expected


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (date(2025, 1, 2), date(2025, 1, 1), None),
        (date(2025, 1, 1), date(2025, 1, 3), 4),
        (date(2025, 5, 1), None, None),
        (None, None, 10**9),
    ],
)
def test_a_window_that_contradicts_itself(start, end, days):
    with pytest.raises(SettingsError, match=r"^--(days|end)"):
        window(start, end, days, today=TODAY)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--users", {"users": 0}),
        ("--items", {"items": 0}),
        ("--days", {"days": 0}),
        ("--events", {"events": 0}),
        ("--events", {"events": 9, "days": 10}),
        ("--categories", {"categories": 13}),
        ("--brands", {"brands": 0}),
        ("--seed", {"seed": -1}),
        ("--dirty", {"dirty": 0.1}),
        ("--dirty", {"dirty": float("nan")}),
        ("--top-share", {"top_share": 0.2}),
        ("--format", {"file_format": "xml"}),
        ("--compress", {"compress": "lzma"}),
        ("--types", {"types": {"view": 0.0}}),
        ("--types", {"types": {"buy": 1.0}}),
        ("--types", {"types": {"view": -1.0, "click": 2.0}}),
        ("--types", {"types": {"view": float("inf")}}),
        ("--types", {"types": {"view": float("nan")}}),
        ("--start", {"start": date(1969, 12, 31)}),
        ("--start", {"start": date(2261, 12, 1)}),
    ],
)
def test_a_bad_value_names_its_option(option, values):
    with pytest.raises(SettingsError, match=f"^{option}"):
        GeneratorConfig(**{"start": date(2025, 1, 1), **values})


def test_types():
    assert parse_types("view=50, click=2.5") == {"view": 50.0, "click": 2.5}
    for text in ("", "view", "view=x", "buy=1", "view=0"):
        with pytest.raises(SettingsError, match=r"^--types"):
            parse_types(text)


def test_file_names():
    def name(**values):
        return GeneratorConfig(start=date(2025, 1, 1), **values).file_name("items")

    assert name() == "items.csv"
    assert name(compress="gzip") == "items.csv.gz"
    assert name(file_format="jsonl", compress="zstd") == "items.jsonl.zst"
    assert name(file_format="parquet", compress="gzip") == "items.parquet"
