"""Texts as times: ISO 8601, epoch numbers, or any strptime string."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa

from recsys_pipeline.schemas.bounds import EARLIEST, LATEST
from recsys_pipeline.schemas.keys import UTC_TIME

TIME_FORMS = ("auto", "iso8601", "epoch_s", "epoch_ms", "epoch_us")

_NAIVE = pl.Datetime("us")
_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_DIGITS = {10: 1_000_000, 13: 1_000, 16: 1}
_NUMBER = r"^[0-9]+(\.[0-9]+)?$"
_COMMON = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z| UTC|\+00:00)?$"
)
_ISO = (
    r"^(?<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?<minute>[0-9]{2}:[0-9]{2})(?::(?<second>[0-9]{2}(?:[.,][0-9]{1,9})?))?"
    r" ?(?<zone>[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?)?$"
)
_DAY = timedelta(days=1)


def usable_form(form: str) -> str:
    """Return a strptime string in the dialect of Polars.

    Raises:
        ValueError: It can't read back a time that it writes.
    """
    # chrono's %f counts nanoseconds: `.123456` would become 123 microseconds
    form = form.replace(".%f", "%.f")
    if re.search(r"(?<!%)%f", form):
        raise ValueError("use %f only after a point, as in %S.%f")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sample = pl.Series([datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)]).dt.strftime(form)
            parsed = sample.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise ValueError(f"is no usable strptime string ({reason})") from None
    if str(parsed.dt.date()[0]) != "2001-02-03":
        raise ValueError("is no strptime string that names a day, e.g. %d/%m/%Y %H:%M:%S")
    return form


def read_times(values: pl.Series, form: str, timezone: str) -> tuple[pl.Series, pl.Series]:
    """Read times.

    Args:
        values: String, or Datetime where the file types its times; null stays null.
        form: One of `TIME_FORMS`, or a strptime string. `auto` takes 10, 13 or 16 digits as
            epoch seconds, milliseconds or microseconds, and all else as ISO 8601.
        timezone: Zone of times without one. An hour that occurs twice is its first occurrence;
            one that never occurs is unreadable.

    Returns:
        Times (Datetime[us, UTC]; null where unreadable or out of range), and a Boolean: true
        where a time was read but is not from 1970 to 2261.
    """
    if isinstance(values.dtype, pl.Datetime):
        typed = values.cast(pl.Datetime("us", values.dtype.time_zone))
        return _bounded(_localised(typed, timezone))
    texts = values.str.strip_chars()
    if form == "auto":
        return _auto(texts, timezone)
    if form in _UNITS:
        return _epoch(
            texts, pl.Series([_UNITS[form]], dtype=pl.Int64).new_from_index(0, len(texts))
        )
    if form == "iso8601":
        return _bounded(_iso(texts, timezone))
    return _bounded(_localised(texts.str.to_datetime(form, strict=False, time_unit="us"), timezone))


def _auto(texts: pl.Series, timezone: str) -> tuple[pl.Series, pl.Series]:
    if timezone == "UTC" and (texts.str.contains(_COMMON) | texts.is_null()).all():
        return _bounded(_common(texts))
    numbers = texts.str.contains(_NUMBER).fill_null(False)  # noqa: FBT003  # polars' own signature
    if not numbers.any():
        return _bounded(_iso(texts, timezone))
    lengths = texts.str.splitn(".", 2).struct.field("field_0").str.len_bytes()
    units = lengths.replace_strict(_DIGITS, default=None, return_dtype=pl.Int64)
    epochs, outside = _epoch(texts.set(~numbers, None), units)
    if numbers.all():
        return epochs, outside
    iso, outside_iso = _bounded(_iso(texts.set(numbers, None), timezone))
    return epochs.zip_with(numbers, iso), outside | outside_iso


def _bounded(times: pl.Series) -> tuple[pl.Series, pl.Series]:
    outside = ~times.is_between(EARLIEST, LATEST, closed="left").fill_null(True)  # noqa: FBT003
    return times.set(outside, None), outside


def _localised(times: pl.Series, timezone: str) -> pl.Series:
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        return times.cast(UTC_TIME)
    if timezone == "UTC":
        return times.dt.replace_time_zone("UTC")
    # time zones have no rules for years that the range rule refuses anyway
    far = ~times.is_between(
        EARLIEST.replace(tzinfo=None) - _DAY, LATEST.replace(tzinfo=None) + _DAY
    ).fill_null(True)  # noqa: FBT003
    local = times.set(far, None).dt.replace_time_zone(
        timezone, ambiguous="earliest", non_existent="null"
    )
    return local.cast(UTC_TIME).zip_with(~far, times.dt.replace_time_zone("UTC"))


def _epoch(texts: pl.Series, units: pl.Series) -> tuple[pl.Series, pl.Series]:
    latest = int(LATEST.timestamp()) * 1_000_000
    frame = pl.DataFrame({"text": texts, "unit": units}).select(
        pl.col("text").cast(pl.Int64, strict=False).alias("whole"),
        pl.col("text").cast(pl.Float64, strict=False).alias("real"),
        "unit",
    )
    whole, real, unit = pl.col("whole"), pl.col("real"), pl.col("unit")
    inside = (real >= 0) & (real < latest / unit)
    micros = (
        pl.when(~inside)
        .then(None)
        .when(whole.is_not_null())
        .then(whole * unit)
        .otherwise((real * unit).round().cast(pl.Int64, strict=False))
    )
    found = frame.select(
        micros.cast(_NAIVE).dt.replace_time_zone("UTC").alias("time"),
        (real.is_finite() & ~inside).fill_null(False).alias("outside"),  # noqa: FBT003
    )
    return found["time"], found["outside"]


def _iso(texts: pl.Series, timezone: str) -> pl.Series:
    common = texts.str.contains(_COMMON).fill_null(False)  # noqa: FBT003
    if timezone != "UTC":
        common &= _body(texts).str.len_bytes() < texts.str.len_bytes()
    fast = _common(texts.set(~common, None))
    rest = texts.set(common, None)
    if rest.null_count() == len(rest):
        return fast
    return fast.zip_with(common, _any_iso(rest, timezone))


def _body(texts: pl.Series) -> pl.Series:
    return texts.str.strip_suffix("Z").str.strip_suffix(" UTC").str.strip_suffix("+00:00")


def _common(texts: pl.Series) -> pl.Series:
    """Read times of UTC that `_COMMON` describes, or nulls."""
    return _naive(_body(texts)).dt.replace_time_zone("UTC")


def _naive(texts: pl.Series) -> pl.Series:
    try:
        # three times as fast as parsing by format, but one 30 February fails it all
        return pl.Series(
            texts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.timestamp("us"))
        )
    except pa.ArrowInvalid:
        joined = texts.str.replace(" ", "T", literal=True)
        return joined.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")


def _any_iso(texts: pl.Series, timezone: str) -> pl.Series:
    parts = texts.rename("text").to_frame().select(pl.col("text").str.extract_groups(_ISO))
    frame = parts.unnest("text").select(
        pl.format(
            "{}T{}:{}",
            "date",
            pl.col("minute").fill_null("00:00"),
            pl.col("second").fill_null("00").str.replace(",", ".", literal=True),
        )
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")
        .alias("local"),
        pl.col("zone").is_not_null().alias("zoned"),
        _offset(pl.col("zone")).alias("offset"),
    )
    zoned = frame.select((pl.col("local") - pl.col("offset")).dt.replace_time_zone("UTC"))
    return zoned.to_series().zip_with(frame["zoned"], _localised(frame["local"], timezone))


def _offset(zone: pl.Expr) -> pl.Expr:
    digits = zone.str.slice(1).str.replace(":", "", literal=True)
    hours = digits.str.head(2).cast(pl.Int64, strict=False)
    minutes = digits.str.slice(2).cast(pl.Int64, strict=False).fill_null(0)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    signed = zone.str.contains(r"^[+-]")
    return pl.duration(minutes=pl.when(signed).then(sign * (hours * 60 + minutes)).otherwise(0))
