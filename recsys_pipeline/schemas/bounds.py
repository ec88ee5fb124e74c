"""Bounds that need no data frame: commands that only print them don't load Polars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2262, 1, 1, tzinfo=UTC)
FUTURE_TOLERANCE = timedelta(minutes=5)
