"""The columns of a row of totals. No kernel is here: what needs the names alone imports no Numba."""

from __future__ import annotations

# the counts by event type follow, in the order of the types' codes
TOTAL, UNIQUE, RATING_SUM, RATING_COUNT, ACTIVE_DAYS, FIRST, LAST, BY_TYPE = range(8)
TYPES = 5
WIDTH = BY_TYPE + TYPES
