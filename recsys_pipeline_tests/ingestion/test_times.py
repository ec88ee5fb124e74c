from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.ingestion.times import read_times, usable_form

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2261, 12, 31, 23, 59, 59))  # noqa: DTZ001
OFFSETS = st.integers(-14 * 60, 14 * 60)


def parse(texts, form="auto", zone="UTC"):
    times, outside = read_times(pl.Series(texts, dtype=pl.String), form, zone)
    assert times.dtype == pl.Datetime("us", "UTC")
    assert outside.dtype == pl.Boolean
    assert not outside.has_nulls()
    return times.to_list(), outside.to_list()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            MOMENTS,
            OFFSETS,
            st.sampled_from(["T", " "]),
            st.sampled_from(["Z", " UTC", "+00:00", "", "offset", "compact"]),
        ),
        min_size=1,
    )
)
def test_iso_8601_reads_what_python_writes(cases):
    texts, expected = [], []
    for moment, offset, separator, suffix in cases:
        shift = timedelta(minutes=offset) if suffix in ("offset", "compact") else timedelta()
        local = moment.replace(tzinfo=UTC).astimezone(timezone(shift)) if shift else moment
        text = local.replace(tzinfo=None).isoformat(separator)
        if suffix in ("offset", "compact"):
            sign, minutes = ("-", -offset) if offset < 0 else ("+", offset)
            colon = ":" if suffix == "offset" else ""
            texts.append(f"{text}{sign}{minutes // 60:02}{colon}{minutes % 60:02}")
        else:
            texts.append(text + suffix)
        expected.append(moment.replace(tzinfo=UTC))
    times, outside = parse(texts)
    assert times == expected
    assert not any(outside)
    assert parse(texts, "iso8601")[0] == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(MOMENTS, min_size=1),
    st.sampled_from([("epoch_s", 1), ("epoch_ms", 1_000), ("epoch_us", 1_000_000)]),
)
def test_epochs_of_each_unit(moments, unit):
    form, per_second = unit
    step = timedelta(seconds=1) / per_second
    numbers = [(m - datetime(1970, 1, 1)) // step for m in moments]  # noqa: DTZ001
    expected = [datetime(1970, 1, 1, tzinfo=UTC) + n * step for n in numbers]
    assert parse([str(n) for n in numbers], form)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1511544070", datetime(2017, 11, 24, 17, 21, 10, tzinfo=UTC)),
        ("1511544070.25", datetime(2017, 11, 24, 17, 21, 10, 250_000, tzinfo=UTC)),
        ("1511544070123", datetime(2017, 11, 24, 17, 21, 10, 123_000, tzinfo=UTC)),
        ("1511544070123456", datetime(2017, 11, 24, 17, 21, 10, 123_456, tzinfo=UTC)),
        (" 2025-01-31 ", datetime(2025, 1, 31, tzinfo=UTC)),
        ("2025-01-31T10:20", datetime(2025, 1, 31, 10, 20, tzinfo=UTC)),
        ("2025-01-31T10:20:30,5+02", datetime(2025, 1, 31, 8, 20, 30, 500_000, tzinfo=UTC)),
        ("2025-01-31T10:20:30.123456789Z", datetime(2025, 1, 31, 10, 20, 30, 123_456, tzinfo=UTC)),
    ],
)
def test_forms_found_by_themselves(text, expected):
    # beside other forms, as they may stand in one file
    times, outside = parse(["1970-01-01T00:00:00Z", text, None])
    assert times == [datetime(1970, 1, 1, tzinfo=UTC), expected, None]
    assert outside == [False, False, False]


UNREADABLE = [
    "", "yesterday", "2025-02-30T10:00:00Z", "2025-13-01", "31/12/2025", "20250131", "12", "-1",
    "99999999999999999999", "nan", "2025-01-31T25:00:00Z", "\u0662\u0660\u0662\u0665-01-01", "2025-01-31T10:00:00X",
]  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE)
@pytest.mark.parametrize("form", ["auto", "iso8601"])
def test_what_is_no_time_is_unreadable(text, form):
    good = "2025-01-31T10:00:00Z"
    times, outside = parse([good, text], form)
    assert times == [datetime(2025, 1, 31, 10, tzinfo=UTC), None]
    assert outside == [False, False]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2262-01-01T00:00:00Z", "auto"),
        ("1969-12-31T23:59:59.999999Z", "auto"),
        ("9999-12-31T23:59:59Z", "auto"),
        ("0001-01-01", "iso8601"),
        ("9999999999", "auto"),
        ("-1", "epoch_s"),
        ("99999999999999999999", "epoch_us"),
        ("9223372036854775807", "epoch_s"),
        ("1e30", "epoch_ms"),
        ("01.01.2300", "%d.%m.%Y"),
    ],
)
def test_a_time_outside_1970_to_2261_says_so(text, form):
    for zone in ("UTC", "America/New_York"):
        assert parse([text], form, zone) == ([None], [True])


def test_a_zone_for_times_without_one():
    texts = ["2025-07-01T12:00:00", "2025-07-01T12:00:00Z", "2025-01-01", "1751364000"]
    times, _ = parse(texts, zone="Europe/Berlin")
    assert [t.isoformat() for t in times] == [
        "2025-07-01T10:00:00+00:00",
        "2025-07-01T12:00:00+00:00",
        "2024-12-31T23:00:00+00:00",
        "2025-07-01T10:00:00+00:00",
    ]


def test_the_hour_that_occurs_twice_and_the_one_that_never_does():
    times, outside = parse(["2025-10-26T02:30:00", "2025-03-30T02:30:00"], zone="Europe/Berlin")
    assert [times[0].isoformat(), times[1]] == ["2025-10-26T00:30:00+00:00", None]
    assert outside == [False, False]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("%d/%m/%Y %H:%M", "31/01/2025 10:20", "2025-01-31T10:20:00+00:00"),
        ("%d.%m.%Y", "31.01.2025", "2025-01-31T00:00:00+00:00"),
        ("%Y-%m-%d %H:%M:%S.%f", "2025-01-31 10:20:30.123456", "2025-01-31T10:20:30.123456+00:00"),
        ("%Y-%m-%d %H:%M:%S %z", "2025-01-31 10:20:30 +0200", "2025-01-31T08:20:30+00:00"),
        ("%b %d %Y %I:%M %p", "Jan 31 2025 10:20 PM", "2025-01-31T22:20:00+00:00"),
    ],
)
def test_strptime(form, text, expected):
    times, _ = parse([text, "junk"], usable_form(form))
    assert [times[0].isoformat(), times[1]] == [expected, None]
