"""Warnings of Dagster about its own features that we use knowingly, silenced one by one.

Importing this module is what silences them. Nothing else is filtered: a deprecation stays loud.
"""

from __future__ import annotations

import warnings

# each is pinned by a test, so that an upgrade that changes one says so
KNOWN = (r"Parameter `backfill_policy` of .* is currently in beta",)

for message in KNOWN:
    warnings.filterwarnings("ignore", message=message)
